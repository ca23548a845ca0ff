package factor

import (
	"encoding/xml"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func need(t *testing.T, program, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	why := fmt.Sprintf("%s is missing: apt-get install %s", program, debianPackage)
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
	return ""
}

type svg struct {
	Attrs []xml.Attr `xml:",any,attr"`
	Paths []struct {
		Attrs []xml.Attr `xml:",any,attr"`
	} `xml:"path"`
	Others []struct{ XMLName xml.Name } `xml:",any"`
}

func attribute(attrs []xml.Attr, name string) string {
	for _, a := range attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// TestQRIsRead has another program read what is drawn.
func TestQRIsRead(t *testing.T) {
	zbarimg := need(t, "zbarimg", "zbar-tools")
	secret := []byte("12345678901234567890")
	for name, account := range map[string]string{"short": "a@b", "usual": "alice@example.com", "letters": "rené+löwe@exämple.test", "long": strings.Repeat("a", 200) + "@example.com"} {
		t.Run(name, func(t *testing.T) {
			uri, err := TOTPURI(secret, "Husk login.example.com", account)
			if err != nil {
				t.Fatal(err)
			}
			drawn, err := QR(uri)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "code.png")
			writePNG(t, file, paint(t, drawn))
			out, err := exec.Command(zbarimg, "--raw", "--quiet", "--nodbus", file).CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != uri {
				t.Errorf("zbarimg read %q (%v), want %q", out, err, uri)
			}
		})
	}
}

// TestQRForm holds what is drawn to what a page without scripts and styles may have.
func TestQRForm(t *testing.T) {
	drawn, err := QR("otpauth://totp/Husk:a?secret=GEZDGNBVGY3TQOJQ")
	if err != nil {
		t.Fatal(err)
	}
	var x svg
	if err := xml.Unmarshal([]byte(drawn), &x); err != nil {
		t.Fatal(err)
	}
	if len(x.Paths) != 2 || len(x.Others) != 0 {
		t.Errorf("%d paths and %v", len(x.Paths), x.Others)
	}
	allowed := map[string]bool{"xmlns": true, "role": true, "aria-labelledby": true, "viewBox": true, "width": true, "height": true, "shape-rendering": true, "fill": true, "d": true}
	for _, attrs := range [][]xml.Attr{x.Attrs, x.Paths[0].Attrs, x.Paths[1].Attrs} {
		for _, a := range attrs {
			if !allowed[a.Name.Local] {
				t.Errorf("attribute %s", a.Name.Local)
			}
		}
	}
	picture := paint(t, drawn)
	side := picture.Bounds().Dx()
	for x := range side {
		for y := range side {
			outside := min(x, y, side-1-x, side-1-y) < 4*modulePx
			if outside && picture.GrayAt(x, y).Y != 255 {
				t.Fatalf("the quiet zone is not white at %d,%d", x, y)
			}
		}
	}
	if corner := 4 * modulePx; picture.GrayAt(corner, corner).Y != 0 {
		t.Error("the code does not begin behind the quiet zone")
	}
}

func TestQROfTooMuchTellsNothing(t *testing.T) {
	text := "otpauth://totp/" + strings.Repeat("SECRET", 1000)
	drawn, err := QR(text)
	if err == nil || drawn != "" || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("%d bytes, %v", len(drawn), err)
	}
}

// paint fills the rectangles of the two paths, which is all that there is.
func paint(t *testing.T, drawn string) *image.Gray {
	t.Helper()
	var x svg
	if err := xml.Unmarshal([]byte(drawn), &x); err != nil {
		t.Fatal(err)
	}
	var side, height int
	if n, _ := fmt.Sscanf(attribute(x.Attrs, "viewBox"), "0 0 %d %d", &side, &height); n != 2 || side != height {
		t.Fatalf("viewBox %q", attribute(x.Attrs, "viewBox"))
	}
	picture := image.NewGray(image.Rect(0, 0, side*modulePx, side*modulePx))
	for _, path := range x.Paths {
		shade := map[string]color.Gray{"#fff": {255}, "#000": {0}}[attribute(path.Attrs, "fill")]
		for _, part := range strings.SplitAfter(attribute(path.Attrs, "d"), "z") {
			if part == "" {
				continue
			}
			var left, top, width, height, back int
			if n, err := fmt.Sscanf(part, "M%d %dh%dv%dh%dz", &left, &top, &width, &height, &back); n != 5 || back != -width {
				t.Fatalf("part %q: %v", part, err)
			}
			for x := left * modulePx; x < (left+width)*modulePx; x++ {
				for y := top * modulePx; y < (top+height)*modulePx; y++ {
					picture.SetGray(x, y, shade)
				}
			}
		}
	}
	return picture
}

func writePNG(t *testing.T, file string, picture image.Image) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, picture); err != nil {
		t.Fatal(err)
	}
}
