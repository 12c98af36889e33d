//! Lines over two logarithmic axes as SVG: enough for a page, and no library.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
/// Room around the lines: left, right, top, bottom.
const MARGIN: (f64, f64, f64, f64) = (78.0, 150.0, 44.0, 58.0);
/// Told apart by most eyes, on white and on black (Okabe and Ito).
const COLORS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// A plot.
#[derive(Debug, Clone)]
pub struct Plot {
    /// Above it.
    pub title: String,
    /// Below the axis to the right.
    pub across: String,
    /// Beside the axis upwards.
    pub upward: String,
    /// Places on the axis to the right, each with its text.
    pub places: Vec<(f64, String)>,
    /// A name and one value a place, all of them positive; what was not measured is left out.
    pub lines: Vec<(String, Vec<Option<f64>>)>,
}

impl Plot {
    /// The whole file.
    pub fn svg(&self) -> String {
        let mut out = String::new();
        self.write(&mut out).expect("a string takes every write");
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let (left, right, top, bottom) = (MARGIN.0, WIDTH - MARGIN.1, MARGIN.2, HEIGHT - MARGIN.3);
        let values = || self.lines.iter().flat_map(|(_, values)| values.iter().flatten().copied());
        let low = decade(values().fold(f64::INFINITY, f64::min), f64::floor);
        let high = decade(values().fold(f64::MIN_POSITIVE, f64::max), f64::ceil).max(low * 10.0);
        let (first, last) = self.places.iter().fold((f64::INFINITY, 0.0_f64), |ends, place| {
            (ends.0.min(place.0), ends.1.max(place.0))
        });
        let x = |value: f64| scale(value, (first, last), (left, right));
        let y = |value: f64| scale(value, (low, high), (bottom, top));

        writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"{left}\" y=\"24\" font-size=\"16\" font-weight=\"600\">{}</text>",
            escape(&self.title)
        )?;
        let mut tick = low;
        while tick <= high * 1.01 {
            let at = y(tick);
            writeln!(
                out,
                "<line x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 8.0,
                at + 4.5,
                grouped(tick)
            )?;
            tick *= 10.0;
        }
        for (place, text) in &self.places {
            let at = x(*place);
            writeln!(
                out,
                "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{bottom}\" y2=\"{:.1}\" stroke=\"#888\"/>\
                 <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 5.0,
                bottom + 20.0,
                escape(text)
            )?;
        }
        writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
             <text transform=\"translate(18 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            f64::midpoint(left, right),
            HEIGHT - 14.0,
            escape(&self.across),
            f64::midpoint(top, bottom),
            escape(&self.upward)
        )?;
        let mut names: Vec<(f64, String)> = Vec::new();
        for (number, (name, values)) in self.lines.iter().enumerate() {
            let color = COLORS[number % COLORS.len()];
            let points: Vec<(f64, f64)> = self
                .places
                .iter()
                .zip(values)
                .filter_map(|(place, value)| Some((x(place.0), y((*value)?))))
                .collect();
            let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2.2\"/>",
                path.join(" ")
            )?;
            for (x, y) in &points {
                write!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\" fill=\"{color}\"/>")?;
            }
            if let Some((_, y)) = points.last() {
                names.push((*y, format!("fill=\"{color}\">{}", escape(name))));
            }
        }
        // Names stand at the ends of their lines, and move apart where those are near each other.
        names.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut above = 0.0;
        for (at, name) in names {
            let at = f64::max(at + 4.5, above + 16.0);
            writeln!(out, "\n<text x=\"{:.1}\" y=\"{at:.1}\" {name}</text>", right + 10.0)?;
            above = at;
        }
        out.push_str("</svg>\n");
        Ok(())
    }
}

/// The power of ten below or above.
fn decade(value: f64, round: fn(f64) -> f64) -> f64 {
    10.0_f64.powf(round(value.log10()))
}

fn scale(value: f64, from: (f64, f64), to: (f64, f64)) -> f64 {
    let span = (from.1 / from.0).ln();
    let part = if span > 0.0 { (value / from.0).ln() / span } else { 0.5 };
    to.0 + part * (to.1 - to.0)
}

/// A number with a comma every three digits.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
