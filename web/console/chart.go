package console

import (
	"cmp"
	"math"
	"strconv"
	"time"
)

// Chart is a picture of numbers that were counted, with the numbers as a table beside
// it. Its template is chart of parts.html. All its geometry is made here: the template
// places nothing.
type Chart struct {
	ID     string // of its element, one of a kind on its page
	Title  Text
	Empty  Text      // what stands in its place where nothing was counted
	Series []Series  // from the bottom up
	AsOf   time.Time // when it was counted; zero: now
	Column Text      // head of the first column of the table
	Rows   []ChartRow

	Marks []Mark // on the axis at the left
	Ticks []Tick // on the axis below
	Bars  []Bar
	Line  string // a path; "": no line is drawn
	Area  string // the path of what is below the line
	Lying []Lying
}

// Series is one of the things that a chart counts.
type Series struct {
	Kind  string // CSS class of how it is drawn; they differ without colour, too
	Label Text
	Total Text
}

// ChartRow is a line of a chart's table.
type ChartRow struct {
	Name   Text      // said where At is zero
	At     time.Time // when what was counted began
	Day    bool      // and was a whole day
	Values []string
}

// Mark is a line across the chart, and what it stands for.
type Mark struct {
	Y     px
	Label string
}

// Tick is what stands below a part of the axis.
type Tick struct {
	X      px
	Anchor string // CSS class: start, middle or end
	Label  string
}

// Bar is a part of a bar.
type Bar struct {
	Kind          string
	X, Y          px
	Width, Height px
}

// Lying is a bar that lies, below a name of any length. Its parts are in hundredths of
// the width.
type Lying struct {
	Name  Text
	Total string
	Parts []Bar
}

// px is a length in the units of the picture.
type px float64

// String writes it to a tenth: more is not seen, and costs bytes.
func (p px) String() string {
	return strconv.FormatFloat(math.Round(float64(p)*10)/10, 'f', -1, 64)
}

// The sizes of a standing chart. It is drawn small, so that its words can be read where
// it fills a phone.
const (
	chartWidth  px = 360
	chartHeight px = 160
	chartTop    px = 10
	chartBottom px = 136 // the line of zero
	chartRight  px = 356
	letter      px = 6.2 // width of a letter of the axis, about
)

// Blank tells whether there is nothing to draw.
func (c Chart) Blank() bool { return len(c.Bars) == 0 && len(c.Lying) == 0 && c.Line == "" }

// moment is what was counted in an hour or a day, of each series.
type moment struct {
	begin  time.Time
	values []uint64
}

// kinds are how the series of a chart are drawn, in their order, unless they say
// otherwise.
var kinds = []string{"s1", "s2", "s3", "s4"}

// standing draws a bar for each moment, with its series upon each other.
func (c Chart) standing(moments []moment, daily bool) Chart {
	sums, most := make([]uint64, len(c.Series)), uint64(0)
	for _, m := range moments {
		whole := uint64(0)
		for i, n := range m.values {
			sums[i] += n
			whole += n
		}
		most = max(most, whole)
	}
	c.rows(moments, daily, func(n uint64) string { return number(n) })
	c.sums(sums)
	if most == 0 {
		return c
	}
	top := niceCount(most)
	left := c.axis(top, moments, daily, func(n uint64) string { return number(n) })
	step := (chartRight - left) / px(len(moments))
	for i, m := range moments {
		y := chartBottom
		for k, n := range m.values {
			if n == 0 {
				continue
			}
			height := max(1.5, (chartBottom-chartTop)*px(n)/px(top))
			y -= height
			c.Bars = append(c.Bars, Bar{Kind: c.Series[k].Kind, X: left + step*(px(i)+.15), Y: y, Width: step * .7, Height: height})
		}
	}
	return c
}

// line draws sizes in bytes as they grew. Those of zero are not known, and left out.
func (c Chart) line(moments []moment, daily bool) Chart {
	most, last := uint64(0), uint64(0)
	for _, m := range moments {
		if m.values[0] > 0 {
			most, last = max(most, m.values[0]), m.values[0]
		}
	}
	size := func(n uint64) string { return byteSize(int64(n)) }
	c.rows(moments, daily, size)
	c.Series[0].Kind, c.Series[0].Total = "s1", literal(size(last))
	if most == 0 {
		return c
	}
	top := niceBytes(most)
	left := c.axis(top, moments, daily, size)
	step := (chartRight - left) / px(max(1, len(moments)-1))
	first, x := px(-1), px(0)
	for i, m := range moments {
		if m.values[0] == 0 {
			continue
		}
		x = left + step*px(i)
		y := chartBottom - (chartBottom-chartTop)*px(m.values[0])/px(top)
		to := "L"
		if first < 0 {
			first, to = x, "M"
		}
		c.Line += to + x.String() + " " + y.String()
	}
	c.Area = c.Line + "L" + x.String() + " " + chartBottom.String() + "L" + first.String() + " " + chartBottom.String() + "Z"
	if x == first { // a line to nowhere, whose round ends are a dot
		c.Line += "h0"
	}
	return c
}

// namedCounts are what was counted of something that has a name.
type namedCounts struct {
	name   Text
	values []uint64
	total  string // "": the sum of the values
}

// lying draws a bar for each name, in the order in which they are given.
func (c Chart) lying(all []namedCounts) Chart {
	sums, most := make([]uint64, len(c.Series)), uint64(0)
	for i, one := range all {
		whole := uint64(0)
		row := ChartRow{Name: one.name}
		for k, n := range one.values {
			sums[k] += n
			whole += n
			row.Values = append(row.Values, number(n))
		}
		if one.total == "" {
			all[i].total = number(whole)
		} else {
			row.Values = []string{one.total}
		}
		c.Rows = append(c.Rows, row)
		most = max(most, whole)
	}
	c.sums(sums)
	if most == 0 {
		return c
	}
	for _, one := range all {
		bar, x := Lying{Name: one.name, Total: one.total}, px(0)
		for k, n := range one.values {
			if n == 0 {
				continue
			}
			width := max(.5, 100*px(n)/px(most))
			bar.Parts = append(bar.Parts, Bar{Kind: c.Series[k].Kind, X: x, Width: width})
			x += width
		}
		c.Lying = append(c.Lying, bar)
	}
	return c
}

// sums tells of each series how many it has, and how it is drawn.
func (c *Chart) sums(sums []uint64) {
	for i := range c.Series {
		c.Series[i].Kind, c.Series[i].Total = cmp.Or(c.Series[i].Kind, kinds[i]), literal(number(sums[i]))
	}
}

func (c *Chart) rows(moments []moment, daily bool, write func(uint64) string) {
	for _, m := range moments {
		row := ChartRow{At: m.begin, Day: daily}
		for _, n := range m.values {
			row.Values = append(row.Values, write(n))
		}
		c.Rows = append(c.Rows, row)
	}
}

// axis marks zero, the half and the top at the left, and the first, the middle and the
// last moment below. It returns where the axis below begins.
func (c *Chart) axis(top uint64, moments []moment, daily bool, write func(uint64) string) (left px) {
	marks := []uint64{0, top / 2, top}
	if top%2 != 0 {
		marks = []uint64{0, top}
	}
	for _, n := range marks {
		label := write(n)
		left = max(left, letter*px(len([]rune(label)))+6)
		c.Marks = append(c.Marks, Mark{chartBottom - (chartBottom-chartTop)*px(n)/px(top), label})
	}
	form, zone := "15:04", " UTC"
	if daily {
		form, zone = "01-02", ""
	}
	middle, last := len(moments)/2, len(moments)-1
	step := (chartRight - left) / px(len(moments))
	c.Ticks = []Tick{
		{left, "start", moments[0].begin.UTC().Format(form)},
		{left + step*(px(middle)+.5), "middle", moments[middle].begin.UTC().Format(form)},
		{chartRight, "end", moments[last].begin.UTC().Format(form) + zone},
	}
	return left
}

// niceCount is the least number, no less than n, of which people know the half at
// once: one, or 2, 4, 6 or 10 with zeros.
func niceCount(n uint64) uint64 {
	if n <= 1 {
		return 1
	}
	for ten := uint64(1); ten <= math.MaxUint64/100; ten *= 10 {
		for _, nice := range []uint64{2, 4, 6, 10} {
			if n <= nice*ten {
				return nice * ten
			}
		}
	}
	return n
}

// niceBytes is the least power of two, no less than n.
func niceBytes(n uint64) uint64 {
	nice := uint64(1024)
	for nice < n && nice < 1<<62 {
		nice *= 2
	}
	return nice
}
