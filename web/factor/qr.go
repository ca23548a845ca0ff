package factor

import (
	"errors"
	"fmt"
	"strings"

	"github.com/boombuler/barcode/qr"
)

const (
	quietZone = 4 // modules of white around the code: ISO/IEC 18004, 5.3.8
	modulePx  = 5
)

// QR draws a text as a QR code of level M: an <svg> to stand in a page, black on white
// in the dark, too, with nothing that a policy without scripts and styles forbids. What
// it is called stands in the element of the page with the id qr-label.
//
// A code for a secret is a secret: no error tells the text.
func QR(text string) (string, error) {
	code, err := qr.Encode(text, qr.M, qr.Unicode)
	if err != nil {
		return "", errors.New("the text is too long for a QR code")
	}
	modules := code.Bounds().Dx()
	side := modules + 2*quietZone
	dark := func(x, y int) bool {
		r, _, _, _ := code.At(x, y).RGBA()
		return r == 0
	}
	var path strings.Builder
	for y := range modules {
		for x := 0; x < modules; x++ {
			from := x
			for x < modules && dark(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", from+quietZone, y+quietZone, x-from, x-from)
			}
		}
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="qr-label" viewBox="0 0 %d %d" width="%d" height="%d" shape-rendering="crispEdges">`+
		`<path fill="#fff" d="M0 0h%dv%dh-%dz"/><path fill="#000" d="%s"/></svg>`,
		side, side, side*modulePx, side*modulePx, side, side, side, path.String()), nil
}
