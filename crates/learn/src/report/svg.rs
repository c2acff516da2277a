//! SVG drawings: escaped text, CSS classes for colours, one style for the page and for files.

/// Names and values of the light theme's colours. Series colours are distinct for colour-blind readers and have a contrast
/// of at least 3:1 to the background; series differ by dashes too.
const LIGHT: [(&str, &str); 13] = [
    ("paper", "#ffffff"),
    ("ink", "#1d2733"),
    ("soft", "#566373"),
    ("grid", "#dfe4ea"),
    ("s0", "#2463a8"),
    ("s1", "#c2570c"),
    ("s2", "#19774a"),
    ("s3", "#a8328a"),
    ("s4", "#806200"),
    ("s5", "#0a7c90"),
    ("s6", "#bb2f46"),
    ("s7", "#5d6673"),
    ("on", "#ffffff"),
];
/// The values of the dark theme.
const DARK: [&str; 13] = [
    "#151b23", "#e8edf3", "#a3b0bf", "#2d3743", "#7fb5f2", "#f3a462", "#63cd99", "#ee93d3", "#dbc05e",
    "#61cfdf", "#ff8f9b", "#aab4c2", "#0e1319",
];

/// The CSS custom properties of the light and the dark theme.
pub(super) fn properties() -> (String, String) {
    let light = LIGHT.iter().map(|(name, value)| format!("--{name}:{value};")).collect();
    let dark = LIGHT.iter().zip(DARK).map(|((name, _), value)| format!("--{name}:{value};")).collect();
    (light, dark)
}

/// The plots' style; `colour` formats a colour from its name and value.
pub(super) fn style(colour: impl Fn(&str, &str) -> String) -> String {
    let of = |name: &str| {
        let value = LIGHT.iter().find(|(key, _)| *key == name).map_or("currentColor", |(_, value)| value);
        colour(name, value)
    };
    let mut style = format!(
        ".plot{{font:13px system-ui,-apple-system,'Segoe UI',sans-serif}}.plot .paper{{fill:{}}}\
         .plot text{{fill:{ink}}}.plot .soft{{fill:{soft}}}.plot .strong{{font-weight:600}}\
         .plot .on{{fill:{}}}.plot .grid{{stroke:{};stroke-width:1}}.plot .axis{{stroke:{soft};stroke-width:1}}\
         .plot .mid{{text-anchor:middle}}.plot .end{{text-anchor:end}}.plot .small{{font-size:11.5px}}\
         .plot .line{{fill:none;stroke-width:2;stroke-linejoin:round}}.plot .dash{{stroke-dasharray:6 4}}\
         .plot .dots{{stroke-dasharray:2 4}}",
        of("paper"),
        of("on"),
        of("grid"),
        ink = of("ink"),
        soft = of("soft"),
    );
    for series in 0..8 {
        let value = of(&format!("s{series}"));
        style += &format!(".plot .s{series}{{stroke:{value}}}.plot .f{series}{{fill:{value}}}");
    }
    style
}

/// The style with custom properties as colours.
pub(super) fn page_style() -> String {
    style(|name, _| format!("var(--{name})"))
}

/// A drawing; sizes are in SVG units, `body` is markup.
pub(super) struct Drawing {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) title: String,
    pub(super) body: String,
}

impl Drawing {
    pub(super) fn new(width: f64, height: f64, title: &str) -> Self {
        Self { width, height, title: title.to_owned(), body: String::new() }
    }

    pub(super) fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        self.body += &format!("<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{}</text>", escape(text));
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        self.body += &format!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" class=\"{class}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    /// Markup for the page, with its custom properties as colours.
    pub(super) fn inline(&self) -> String {
        // Below this width texts become unreadable, and the figure scrolls instead.
        let min_width = (self.width * 0.75).round();
        format!("<svg class=\"plot\" style=\"min-width:{min_width}px\" {}>{}</svg>", self.head(), self.body)
    }

    /// A standalone file in light colours.
    pub(super) fn standalone(&self) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" class=\"plot\" {}><style>{}</style>\
             <rect class=\"paper\" width=\"100%\" height=\"100%\"/>{}</svg>\n",
            self.width,
            self.height,
            self.head(),
            style(|_, value| value.to_owned()),
            self.body
        )
    }

    fn head(&self) -> String {
        let title = escape(&self.title);
        format!("viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{title}\"", self.width, self.height)
    }
}

/// Escapes text for XML and HTML; control characters, which XML forbids, become spaces.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            c if c.is_control() || c == '\u{fffe}' || c == '\u{ffff}' => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

/// Truncates text to `limit` characters including an ellipsis.
pub(super) fn short(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit - 1).chain(['…']).collect()
}
