//! `--grid`: a table of pictures over one setting or two.

use afterimage_core::{Error, GenerationRequest, Picture, PictureBalance, Task, VariationSeed};

/// Values of one setting, at most.
const MOST_VALUES: usize = 32;

/// A setting that a table can go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GridSetting {
    Seed,
    Steps,
    Guidance,
    Strength,
    ReduxStrength,
    ReduxDownsample,
    VariationSeed,
    VariationStrength,
    /// Its values are places in [`PictureBalance::ALL`].
    Balance,
}

impl GridSetting {
    const ALL: [Self; 9] = [
        Self::Seed,
        Self::Steps,
        Self::Guidance,
        Self::Strength,
        Self::ReduxStrength,
        Self::ReduxDownsample,
        Self::VariationSeed,
        Self::VariationStrength,
        Self::Balance,
    ];

    /// The flag's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seed => "seed",
            Self::Steps => "steps",
            Self::Guidance => "guidance",
            Self::Strength => "strength",
            Self::ReduxStrength => "redux-strength",
            Self::ReduxDownsample => "redux-downsample",
            Self::VariationSeed => "variation-seed",
            Self::VariationStrength => "variation-strength",
            Self::Balance => "balance",
        }
    }

    const fn takes_whole_numbers(self) -> bool {
        matches!(self, Self::Seed | Self::Steps | Self::VariationSeed)
    }

    /// Sets it in `request`; whether the request has it.
    fn set(self, request: &mut GenerationRequest, value: f64) -> bool {
        match (self, &mut request.task) {
            (Self::Seed, _) => request.seed = Some(value as u64),
            (Self::Steps, _) => request.steps = value as u32,
            (Self::Guidance, _) => request.guidance = value,
            (Self::Strength, Task::ImageToImage { strength }) => *strength = value,
            (Self::Strength, Task::Inpaint(settings)) => settings.strength = value,
            (Self::Strength, Task::Variation(settings)) if settings.start_strength.is_some() => {
                settings.start_strength = Some(value);
            }
            (Self::ReduxStrength, Task::Variation(settings)) => settings.redux_strength = value,
            (Self::ReduxDownsample, Task::Variation(settings)) => settings.redux_downsample = value,
            (Self::VariationSeed, _) => near(request).seed = Some(value as u64),
            (Self::VariationStrength, _) => near(request).strength = value,
            (Self::Balance, Task::Variation(settings)) => {
                let Some(level) = PictureBalance::ALL.get(value as usize) else { return false };
                (settings.redux_strength, settings.redux_downsample) = level.settings();
            }
            (Self::Strength | Self::ReduxStrength | Self::ReduxDownsample | Self::Balance, _) => return false,
        }
        true
    }
}

/// The second seed of `request`, which so far leads nowhere.
fn near(request: &mut GenerationRequest) -> &mut VariationSeed {
    request.variation_seed.get_or_insert(VariationSeed { seed: None, strength: 0.0 })
}

/// One setting and its values.
#[derive(Clone, Debug, PartialEq)]
pub struct GridAxis {
    setting: GridSetting,
    values: Vec<f64>,
}

impl GridAxis {
    /// `seed 1`, `seed 2`, …
    fn names(&self) -> Vec<String> {
        let shown = |value: &f64| match PictureBalance::ALL.get(*value as usize) {
            Some(level) if self.setting == GridSetting::Balance => level.name().to_owned(),
            _ => value.to_string(),
        };
        self.values.iter().map(|value| format!("{} {}", self.setting.name(), shown(value))).collect()
    }
}

/// The text of a flag, `NAME=VALUES`.
///
/// # Errors
/// What is wrong with it and what would be right.
pub fn axis(text: &str) -> Result<GridAxis, String> {
    let names = || GridSetting::ALL.map(GridSetting::name).join(", ");
    let (name, values) = text.split_once('=').ok_or_else(|| {
        format!("{text:?} is no setting with values; expected one such as seed=1..4 or guidance=2,3.5,5")
    })?;
    let name = name.trim().replace('_', "-");
    let setting = GridSetting::ALL.into_iter().find(|setting| setting.name() == name);
    let setting = setting.ok_or_else(|| format!("{name:?} is no setting of a table; there are {}", names()))?;
    let mut list = Vec::new();
    if setting == GridSetting::Balance {
        let place = |word: &str| PictureBalance::ALL.iter().position(|level| level.name() == word.trim());
        for word in values.split(',') {
            let levels = || PictureBalance::ALL.map(PictureBalance::name).join(", ");
            list.push(
                place(word).ok_or_else(|| format!("{name}: {word:?} is no level; there are {}", levels()))? as f64
            );
        }
        return Ok(GridAxis { setting, values: list });
    }
    for part in values.split(',').map(str::trim) {
        list.extend(span(part).ok_or_else(|| {
            format!("{name}: {part:?} is no value; expected numbers such as 1,2,5, or 1..4, or 0.2..1:0.2")
        })?);
        if list.len() > MOST_VALUES {
            return Err(format!("{name}: more than {MOST_VALUES} values"));
        }
    }
    if let Some(value) =
        list.iter().find(|value| setting.takes_whole_numbers() && (value.fract() != 0.0 || **value < 0.0))
    {
        return Err(format!("{name}: {value} is no whole number from 0"));
    }
    Ok(GridAxis { setting, values: list })
}

/// The numbers that `text` stands for: itself, or those of `FIRST..LAST` and `FIRST..LAST:STEP`. One more than a table may
/// have of them at most.
fn span(text: &str) -> Option<Vec<f64>> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    let Some((first, rest)) = text.split_once("..") else { return Some(vec![number(text)?]) };
    let (last, step) = rest.split_once(':').unwrap_or((rest, "1"));
    let (first, last, step) = (number(first)?, number(last)?, number(step)?);
    if step <= 0.0 || last < first {
        return None;
    }
    // 0.2..1:0.2 has 1, although 4 × 0.2 is a little more than 0.8.
    let count = ((last - first) / step + 1e-6).floor().min(MOST_VALUES as f64) as usize + 1;
    let places = decimals(&[first, step]);
    Some((0..count).map(|index| rounded(step.mul_add(index as f64, first), places)).collect())
}

/// Decimals that `numbers` are written with, at most 9.
fn decimals(numbers: &[f64]) -> u32 {
    (0..9).find(|places| numbers.iter().all(|number| (rounded(*number, *places) - number).abs() < 1e-12)).unwrap_or(9)
}

fn rounded(number: f64, places: u32) -> f64 {
    let scale = 10_f64.powi(places as i32);
    (number * scale).round() / scale
}

/// A table over one setting, from left to right, or two.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingsGrid {
    columns: GridAxis,
    rows: Option<GridAxis>,
}

impl SettingsGrid {
    /// The table over `axes`; none without any.
    ///
    /// # Errors
    /// For more than two, or the same setting twice.
    pub fn new(axes: &[GridAxis]) -> Result<Option<Self>, String> {
        match axes {
            [] => Ok(None),
            [columns] => Ok(Some(Self { columns: columns.clone(), rows: None })),
            [columns, rows] if columns.setting == rows.setting => {
                Err(format!("{} is named twice; a table has two different settings", rows.setting.name()))
            }
            [columns, rows] => Ok(Some(Self { columns: columns.clone(), rows: Some(rows.clone()) })),
            _ => Err(format!("{} settings; a table has one or two", axes.len())),
        }
    }

    /// The requests of all cells, row by row, made from `request`.
    ///
    /// # Errors
    /// For a setting that the task does not have.
    pub fn requests(&self, request: &GenerationRequest) -> Result<Vec<GenerationRequest>, String> {
        let row_values = self.rows.as_ref().map_or(vec![None], |rows| rows.values.iter().copied().map(Some).collect());
        let mut requests = Vec::new();
        for row in row_values {
            for column in &self.columns.values {
                let mut cell = request.clone();
                let row = self.rows.as_ref().zip(row).map(|(axis, value)| (axis.setting, value));
                for (setting, value) in [(self.columns.setting, *column)].into_iter().chain(row) {
                    if !setting.set(&mut cell, value) {
                        return Err(format!("{} is no setting of this command", setting.name()));
                    }
                }
                requests.push(cell);
            }
        }
        Ok(requests)
    }

    /// The table of `pictures`, one for each cell in the order of [`SettingsGrid::requests`].
    ///
    /// # Errors
    /// Those of [`afterimage_imaging::picture_table`].
    pub fn sheet(&self, pictures: &[Picture]) -> Result<Picture, Error> {
        let rows = self.rows.as_ref().map_or_else(|| vec![String::new()], GridAxis::names);
        afterimage_imaging::picture_table(&self.columns.names(), &rows, pictures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_core::VariationSettings;
    use proptest::prelude::*;

    fn values(text: &str) -> Vec<f64> {
        axis(text).unwrap_or_else(|problem| panic!("{text}: {problem}")).values
    }

    #[test]
    fn values_are_lists_and_spans() {
        for (text, expected) in [
            ("seed=7", &[7.0][..]),
            ("seed=1..4", &[1.0, 2.0, 3.0, 4.0]),
            ("guidance=2,3.5, 5", &[2.0, 3.5, 5.0]),
            ("redux-strength=0.2..1:0.2", &[0.2, 0.4, 0.6, 0.8, 1.0]),
            ("redux_downsample=1,3..5", &[1.0, 3.0, 4.0, 5.0]),
            ("strength=0..1:0.25", &[0.0, 0.25, 0.5, 0.75, 1.0]),
            ("strength=0.3..0.3", &[0.3]),
        ] {
            assert_eq!(values(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_axis_is_refused_with_what_would_be_right() {
        for (text, part) in [
            ("photo.jpg", "seed=1..4"),
            ("size=1,2", "there are seed"),
            ("seed=", "is no value"),
            ("seed=1,,2", "is no value"),
            ("seed=4..1", "is no value"),
            ("seed=1..4:0", "is no value"),
            ("seed=1..4:-1", "is no value"),
            ("seed=1..1000000000", "more than 32"),
            ("seed=0.5", "whole number"),
            ("seed=-1", "whole number"),
            ("guidance=NaN", "is no value"),
            ("guidance=inf", "is no value"),
        ] {
            let problem = axis(text).unwrap_err();
            assert!(problem.contains(part), "{text}: {problem}");
        }
        let seeds = axis("seed=1").unwrap();
        assert!(
            SettingsGrid::new(&[seeds.clone(), seeds.clone()]).is_err() && SettingsGrid::new(&vec![seeds; 3]).is_err()
        );
        assert_eq!(SettingsGrid::new(&[]), Ok(None));
    }

    #[test]
    fn levels_of_balance_are_words() {
        let axis = axis("balance=picture, even,prompt").unwrap();
        assert_eq!(axis.names(), ["balance picture", "balance even", "balance prompt"]);
        assert!(super::axis("balance=odd").unwrap_err().contains("more-picture"));
        let request = GenerationRequest::new(Task::Variation(VariationSettings::default()));
        let cells = SettingsGrid::new(&[axis]).unwrap().unwrap().requests(&request).unwrap();
        let settings: Vec<_> = cells
            .into_iter()
            .map(|cell| match cell.task {
                Task::Variation(settings) => (settings.redux_strength, settings.redux_downsample),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(
            settings,
            [PictureBalance::Picture, PictureBalance::Even, PictureBalance::Prompt].map(PictureBalance::settings)
        );
    }

    #[test]
    fn cells_come_row_by_row() {
        let grid =
            SettingsGrid::new(&[axis("redux-strength=0.5,1").unwrap(), axis("seed=1..3").unwrap()]).unwrap().unwrap();
        let request = GenerationRequest::new(Task::Variation(VariationSettings::default()));
        let cells: Vec<(f64, u64)> = grid
            .requests(&request)
            .unwrap()
            .into_iter()
            .map(|request| match request.task {
                Task::Variation(settings) => (settings.redux_strength, request.seed.unwrap()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(cells, [(0.5, 1), (1.0, 1), (0.5, 2), (1.0, 2), (0.5, 3), (1.0, 3)]);
        let reshape = GenerationRequest::new(Task::ImageToImage { strength: 0.8 });
        assert!(grid.requests(&reshape).unwrap_err().contains("redux-strength"));
    }

    proptest! {
        #[test]
        fn no_text_makes_more_cells_than_a_table_has(text in "(seed|guidance|steps)=[0-9.,:]{0,20}") {
            if let Ok(axis) = axis(&text) {
                prop_assert!(!axis.values.is_empty() && axis.values.len() <= MOST_VALUES);
                prop_assert!(axis.values.iter().all(|value| value.is_finite()));
            }
        }
    }
}
