//! Draws curves as SVG pictures for the documents.

use std::fs;
use std::ops::Range;

use anyhow::{Result, anyhow};
use flockwise_benches::workspace;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

const SIZE: (u32, u32) = (760, 440);
/// Margin around the points, as a share of their span.
const MARGIN: f64 = 0.05;

/// A curve, optionally with a dot at each point.
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) is_dotted: bool,
}

type Painted = Result<(), Box<dyn std::error::Error>>;
type Chart<'a, 't> = ChartContext<'a, SVGBackend<'t>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

impl Curve {
    fn paint(&self, chart: &mut Chart<'_, '_>, colour: RGBAColor) -> Painted {
        let points = self.points.iter().copied();
        let line = colour.stroke_width(2);
        chart
            .draw_series(LineSeries::new(points, line))?
            .label(&self.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], line));
        let dots = self.points.iter().filter(|_| self.is_dotted);
        chart.draw_series(dots.map(|point| Circle::new(*point, 3, colour.filled())))?;
        Ok(())
    }
}

/// A picture in `docs/pictures`.
pub(crate) struct Picture {
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) axes: [&'static str; 2],
    pub(crate) curves: Vec<Curve>,
    /// The target point, if there is one.
    pub(crate) aim: Option<(f64, f64)>,
}

impl Picture {
    /// Writes the picture, unless `only_print`.
    pub(crate) fn draw(&self, only_print: bool) -> Result<()> {
        if only_print {
            return Ok(());
        }
        let folder = workspace("docs/pictures");
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("quality-{}.svg", self.name));
        let mut text = String::new();
        self.paint(&mut text)
            .map_err(|error| anyhow!("cannot draw {}: {error}", self.name))?;
        Ok(fs::write(path, text)?)
    }

    fn paint(&self, text: &mut String) -> Painted {
        let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let [across, up] = self.spans();
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, ("sans-serif", 16))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d(across, up)?;
        let [x, y] = self.axes;
        chart
            .configure_mesh()
            .x_desc(x)
            .y_desc(y)
            .light_line_style(TRANSPARENT)
            .draw()?;
        for (index, curve) in self.curves.iter().enumerate() {
            curve.paint(&mut chart, Palette99::pick(index).to_rgba())?;
        }
        if let Some(aim) = self.aim {
            chart
                .draw_series([Cross::new(aim, 6, BLACK.stroke_width(2))])?
                .label("aim")
                .legend(|(x, y)| Cross::new((x + 8, y), 5, BLACK.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::MiddleRight)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        area.present()?;
        Ok(())
    }

    fn spans(&self) -> [Range<f64>; 2] {
        let all = || {
            let curves = self.curves.iter().flat_map(|curve| &curve.points);
            curves.copied().chain(self.aim)
        };
        [
            span(all().map(|point| point.0)),
            span(all().map(|point| point.1)),
        ]
    }
}

fn span(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), x| {
        (least.min(x), most.max(x))
    });
    let margin = MARGIN * (most - least).max(1e-9);
    least - margin..most + margin
}
