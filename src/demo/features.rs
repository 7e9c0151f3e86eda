//! What the model may know of a flight before it leaves: named columns, their values, and rows encoded for training.
//!
//! Delays are deliberately no feature: at the time of scheduling nobody knows them, and a model that is given the
//! departure delay only repeats it (AUC 0.9 and no use).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::flights::{Flights, Weather};

/// Columns that enter as a number, standardised by the training rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Numeric {
    /// Scheduled departure, hours after local midnight.
    Hour,
    /// Miles.
    Distance,
    /// Scheduled minutes between the two local clocks.
    Elapsed,
    /// °F.
    Temp,
    /// Dew point, °F.
    Dewp,
    /// Percent.
    Humid,
    /// Miles per hour.
    WindSpeed,
    /// Inches in the hour.
    Precip,
    /// Miles.
    Visib,
    /// Millibar.
    Pressure,
}

impl Numeric {
    /// What was known without the weather.
    pub const SCHEDULE: &[Numeric] = &[Numeric::Hour, Numeric::Distance, Numeric::Elapsed];

    /// The schedule and the weather at the hour of departure.
    pub const ALL: &[Numeric] = &[
        Numeric::Hour,
        Numeric::Distance,
        Numeric::Elapsed,
        Numeric::Temp,
        Numeric::Dewp,
        Numeric::Humid,
        Numeric::WindSpeed,
        Numeric::Precip,
        Numeric::Visib,
        Numeric::Pressure,
    ];

    /// The value in `row`; none where it was not recorded.
    pub fn value(self, flights: &Flights, row: usize) -> Option<f64> {
        match self {
            Numeric::Hour => Some(f64::from(flights.scheduled_departure(row)) / 60.0),
            Numeric::Distance => Some(f64::from(flights.distance(row))),
            Numeric::Elapsed => Some(f64::from(flights.scheduled_elapsed(row))),
            Numeric::Temp => flights.weather(Weather::Temperature, row),
            Numeric::Dewp => flights.weather(Weather::DewPoint, row),
            Numeric::Humid => flights.weather(Weather::Humidity, row),
            Numeric::WindSpeed => flights.weather(Weather::WindSpeed, row),
            Numeric::Precip => flights.weather(Weather::Precipitation, row),
            Numeric::Visib => flights.weather(Weather::Visibility, row),
            Numeric::Pressure => flights.weather(Weather::Pressure, row),
        }
    }
}

/// Columns that enter as one of their distinct values, each with a weight of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Categorical {
    Origin,
    Carrier,
    Dest,
    HourOfDay,
    Weekday,
}

impl Categorical {
    pub const ALL: &[Categorical] =
        &[Categorical::Origin, Categorical::Carrier, Categorical::Dest, Categorical::HourOfDay, Categorical::Weekday];

    /// The value in `row`; always recorded.
    pub fn value(self, flights: &Flights, row: usize) -> &str {
        const HOURS: [&str; 24] = [
            "00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15", "16", "17",
            "18", "19", "20", "21", "22", "23",
        ];
        const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        match self {
            Categorical::Origin => flights.origin.get(row),
            Categorical::Carrier => flights.carrier.get(row),
            Categorical::Dest => flights.destination.get(row),
            Categorical::HourOfDay => HOURS[flights.hour(row)],
            Categorical::Weekday => WEEKDAYS[flights.weekday(row)],
        }
    }
}

/// A numeric column with the mean and standard deviation of its recorded training values.
#[derive(Debug, Clone)]
pub struct Scaled {
    pub column: Numeric,
    pub mean: f64,
    pub scale: f64,
}

/// A categorical column with its training values and where each has its weight.
#[derive(Debug, Clone)]
pub struct Levels {
    pub column: Categorical,
    pub weight_of: BTreeMap<String, usize>,
}

/// How rows become numbers: learned from the training rows alone, so nothing leaks from the rows it is judged on.
///
/// The weights lie in one vector: the bias, one for each numeric column, one for each numeric column being missing,
/// one for each value of each categorical column. A value never seen in training has no weight.
#[derive(Debug, Clone)]
pub struct Encoder {
    pub numeric: Vec<Scaled>,
    pub categorical: Vec<Levels>,
    pub weights: usize,
}

impl Encoder {
    pub fn fit(flights: &Flights, rows: &[usize], numeric: &[Numeric], categorical: &[Categorical]) -> Self {
        let mut weights = 1 + 2 * numeric.len();
        let categorical = categorical
            .iter()
            .map(|&column| {
                let mut weight_of: BTreeMap<String, usize> = BTreeMap::new();
                for &row in rows {
                    let value = column.value(flights, row);
                    if !weight_of.contains_key(value) {
                        weight_of.insert(value.to_owned(), 0);
                    }
                }
                // In the order of the names, so that the layout does not depend on the order of the rows.
                for weight in weight_of.values_mut() {
                    *weight = weights;
                    weights += 1;
                }
                Levels { column, weight_of }
            })
            .collect();
        let numeric = numeric.iter().map(|&column| Scaled::fit(flights, rows, column)).collect();
        Self { numeric, categorical, weights }
    }

    /// Encodes `rows` for training and for judging during training.
    pub fn encode(&self, flights: &Flights, rows: &[usize]) -> Encoded {
        let mut encoded = Encoded { width: self.numeric.len(), ..Encoded::default() };
        for &row in rows {
            for (position, scaled) in self.numeric.iter().enumerate() {
                let value = scaled.column.value(flights, row);
                encoded.dense.push(value.map_or(0.0, |value| (value - scaled.mean) / scaled.scale));
                if value.is_none() {
                    encoded.active.push(1 + self.numeric.len() + position);
                }
            }
            let known =
                self.categorical.iter().filter_map(|levels| levels.weight_of.get(levels.column.value(flights, row)));
            encoded.active.extend(known);
            encoded.ends.push(encoded.active.len());
        }
        encoded
    }
}

impl Scaled {
    fn fit(flights: &Flights, rows: &[usize], column: Numeric) -> Self {
        let values = || rows.iter().filter_map(|&row| column.value(flights, row));
        let n = values().count().max(1) as f64;
        let mean = values().sum::<f64>() / n;
        let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
        // A column that never varies carries nothing; dividing by one keeps it at zero.
        let scale = if variance > 0.0 { variance.sqrt() } else { 1.0 };
        Self { column, mean, scale }
    }
}

/// Rows as the model multiplies them: standardised numbers, and the weights that are switched on.
#[derive(Debug, Default)]
pub struct Encoded {
    width: usize,
    dense: Vec<f64>,
    active: Vec<usize>,
    ends: Vec<usize>,
}

impl Encoded {
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The standardised numbers of `row`, and the positions of its weights that count once.
    pub fn row(&self, row: usize) -> (&[f64], &[usize]) {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        (&self.dense[row * self.width..(row + 1) * self.width], &self.active[start..self.ends[row]])
    }

    /// The log-odds of `row` under `weights`.
    pub fn log_odds(&self, row: usize, weights: &[f64]) -> f64 {
        let (dense, active) = self.row(row);
        let numbers: f64 = dense.iter().zip(&weights[1..]).map(|(value, weight)| value * weight).sum();
        weights[0] + numbers + active.iter().map(|&position| weights[position]).sum::<f64>()
    }
}
