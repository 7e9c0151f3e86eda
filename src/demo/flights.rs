//! The flights that left New York in 2013 with the weather at their hour, decoded from the bundled columns.
//!
//! Source, licence and layout of the file: `assets/README.md`.

use std::io::Read;
use std::ops::{Range, RangeInclusive};

pub use super::packed::FlightsError;
use super::packed::Reader;

const PACKED: &[u8] = include_bytes!("../../assets/flights.bin.gz");
const MAGIC: &[u8] = b"OPSFLT01";
/// What the file holds where nothing was recorded.
const MISSING: i16 = i16::MIN;
const HOURS: usize = 365 * 24;
/// First day of each month of 2013, counted from 1 January = 0; the last entry ends December.
const MONTH_STARTS: [i16; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];

/// Hourly weather quantities, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Air temperature, °F.
    Temperature,
    /// Dew point, °F.
    DewPoint,
    /// Relative humidity, percent.
    Humidity,
    /// Direction the wind comes from, degrees.
    WindDirection,
    /// Miles per hour.
    WindSpeed,
    /// Miles per hour.
    WindGust,
    /// Inches in the hour.
    Precipitation,
    /// At sea level, millibar.
    Pressure,
    /// Miles.
    Visibility,
}

impl Weather {
    const COUNT: usize = 9;

    /// What one step of the stored whole number is worth.
    fn step(self) -> f64 {
        match self {
            Weather::Temperature | Weather::DewPoint | Weather::Humidity => 0.01,
            Weather::Precipitation | Weather::Visibility => 0.01,
            Weather::WindDirection => 1.0,
            // Observed in knots, published in miles per hour.
            Weather::WindSpeed | Weather::WindGust => 1.15078,
            Weather::Pressure => 0.1,
        }
    }
}

/// A text column stored as codes into its sorted distinct values.
#[derive(Debug)]
pub struct Dictionary {
    pub values: Vec<String>,
    pub codes: Vec<i16>,
}

impl Dictionary {
    /// The text of `row`.
    pub fn get(&self, row: usize) -> &str {
        &self.values[self.code(row)]
    }

    /// The position of `row`'s text in `values`; decoding checked that it is one.
    pub fn code(&self, row: usize) -> usize {
        usize::try_from(self.codes[row]).unwrap_or_default()
    }
}

/// All scheduled departures of 2013 from Newark, Kennedy and LaGuardia, in the order of the schedule.
///
/// A row is the same index in every column. Clock times are local.
#[derive(Debug)]
pub struct Flights {
    day_of_year: Vec<i16>,
    scheduled_departure: Vec<i16>,
    scheduled_elapsed: Vec<i16>,
    departure_delay: Vec<i16>,
    arrival_delay: Vec<i16>,
    flight: Vec<i16>,
    distance: Vec<i16>,
    pub carrier: Dictionary,
    pub origin: Dictionary,
    pub destination: Dictionary,
    /// By quantity, then origin, then local hour of the year.
    weather: [Vec<i16>; Weather::COUNT],
}

impl Flights {
    /// Decodes the bundled file (about 7 MB in memory).
    ///
    /// # Errors
    /// When the program file itself is damaged.
    pub fn bundled() -> Result<Self, FlightsError> {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(PACKED).read_to_end(&mut bytes)?;
        Self::decode(&bytes)
    }

    fn decode(bytes: &[u8]) -> Result<Self, FlightsError> {
        let mut reader = Reader { rest: bytes };
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(FlightsError::Layout("not a file of flights, or of another version"));
        }
        let rows = reader.u32()? as usize;
        let (carriers, origins, destinations) = (reader.texts()?, reader.texts()?, reader.texts()?);
        let weather_rows = origins.len() * HOURS;
        // Fields are evaluated as written, which is the order of the file.
        let flights = Flights {
            day_of_year: reader.column(rows)?,
            scheduled_departure: reader.column(rows)?,
            scheduled_elapsed: reader.column(rows)?,
            departure_delay: reader.column(rows)?,
            arrival_delay: reader.column(rows)?,
            carrier: reader.dictionary(carriers, rows)?,
            flight: reader.column(rows)?,
            origin: reader.dictionary(origins, rows)?,
            destination: reader.dictionary(destinations, rows)?,
            distance: reader.column(rows)?,
            weather: reader.columns(weather_rows)?,
        };
        flights.check(reader.rest.is_empty())?;
        Ok(flights)
    }

    /// What the accessors lean on, checked once so that they need no error of their own.
    fn check(&self, ended: bool) -> Result<(), FlightsError> {
        let within = |column: &[i16], end: i16| column.iter().all(|value| (0..end).contains(value));
        let sound = ended
            && within(&self.day_of_year, 365)
            && within(&self.scheduled_departure, 24 * 60)
            && self.day_of_year.is_sorted();
        if sound { Ok(()) } else { Err(FlightsError::Layout("a date, a time or the length is impossible")) }
    }

    pub fn len(&self) -> usize {
        self.day_of_year.len()
    }

    pub fn is_empty(&self) -> bool {
        self.day_of_year.is_empty()
    }

    /// The rows scheduled in `months` (1 is January): adjacent, since the table is in order of time.
    pub fn rows_in(&self, months: RangeInclusive<u8>) -> Range<usize> {
        let start_of = |month: usize| {
            let day = MONTH_STARTS[month.clamp(1, 13) - 1];
            self.day_of_year.partition_point(|&d| d < day)
        };
        start_of(usize::from(*months.start()))..start_of(usize::from(*months.end()) + 1)
    }

    /// 0 for 1 January.
    pub fn day_of_year(&self, row: usize) -> i16 {
        self.day_of_year[row]
    }

    /// 1 for January.
    pub fn month(&self, row: usize) -> usize {
        MONTH_STARTS.partition_point(|&start| start <= self.day_of_year[row])
    }

    /// 1 to 31.
    pub fn day(&self, row: usize) -> i16 {
        self.day_of_year[row] - MONTH_STARTS[self.month(row) - 1] + 1
    }

    /// 0 for Monday; 1 January 2013 was a Tuesday.
    pub fn weekday(&self, row: usize) -> usize {
        (usize::try_from(self.day_of_year[row]).unwrap_or_default() + 1) % 7
    }

    /// Scheduled departure, minutes after local midnight.
    pub fn scheduled_departure(&self, row: usize) -> i16 {
        self.scheduled_departure[row]
    }

    /// Scheduled hour of departure, 0 to 23.
    pub fn hour(&self, row: usize) -> usize {
        usize::try_from(self.scheduled_departure[row] / 60).unwrap_or_default()
    }

    /// Minutes from scheduled departure to scheduled arrival on the two local clocks: time in the air and on the
    /// ground, less the hours of time zone flown westward.
    pub fn scheduled_elapsed(&self, row: usize) -> i16 {
        self.scheduled_elapsed[row]
    }

    /// Minutes late at departure, negative when early; none when it never left.
    pub fn departure_delay(&self, row: usize) -> Option<i16> {
        present(self.departure_delay[row])
    }

    /// Minutes late at arrival, negative when early; none when cancelled or diverted.
    pub fn arrival_delay(&self, row: usize) -> Option<i16> {
        present(self.arrival_delay[row])
    }

    /// The airline's flight number.
    pub fn flight(&self, row: usize) -> i16 {
        self.flight[row]
    }

    /// Miles between the two airports.
    pub fn distance(&self, row: usize) -> i16 {
        self.distance[row]
    }

    /// The weather observed at the origin in the scheduled hour of departure; none where it was not recorded.
    pub fn weather(&self, quantity: Weather, row: usize) -> Option<f64> {
        let day = usize::try_from(self.day_of_year[row]).unwrap_or_default();
        let slot = self.origin.code(row) * HOURS + day * 24 + self.hour(row);
        present(self.weather[quantity as usize][slot]).map(|steps| f64::from(steps) * quantity.step())
    }
}

fn present(value: i16) -> Option<i16> {
    (value != MISSING).then_some(value)
}

#[cfg(test)]
#[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation)] // known small values
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(values: impl Iterator<Item = Option<f64>>) -> (f64, usize) {
        values.fold((0.0, 0), |(sum, missing), value| match value {
            Some(value) => (sum + value, missing),
            None => (sum, missing + 1),
        })
    }

    /// Sums and counts of missing values, computed by pandas from the CSV files joined on (origin, `time_hour`).
    #[test]
    fn columns_agree_with_the_published_tables() {
        let flights = Flights::bundled().unwrap();
        let rows = 0..flights.len();
        assert_eq!(flights.len(), 336_776);
        let total = |value: &dyn Fn(usize) -> usize| rows.clone().map(value).sum::<usize>();
        assert_eq!(total(&|row| flights.month(row)), 2_205_381);
        assert_eq!(total(&|row| flights.day(row) as usize), 5_291_016);
        assert_eq!(total(&|row| flights.hour(row)), 4_438_791);
        assert_eq!(total(&|row| flights.scheduled_departure(row) as usize % 60), 8_833_668);
        assert_eq!(total(&|row| flights.distance(row) as usize), 350_217_607);
        assert_eq!(total(&|row| flights.flight(row) as usize), 664_096_549);
        assert_eq!(total(&|row| flights.scheduled_elapsed(row) as usize), 47_952_457);
        assert_eq!(total(&|row| usize::from(flights.weekday(row) == 5)), 38_720);
        assert_eq!(total(&|row| usize::from(flights.carrier.get(row) == "UA")), 58_665);
        assert_eq!(total(&|row| usize::from(flights.origin.get(row) == "JFK")), 111_279);
        assert_eq!(total(&|row| usize::from(flights.destination.get(row) == "LAX")), 16_174);

        let delay =
            |get: fn(&Flights, usize) -> Option<i16>| sum(rows.clone().map(|row| get(&flights, row).map(f64::from)));
        assert_eq!(delay(Flights::departure_delay), (4_152_200.0, 8_255));
        assert_eq!(delay(Flights::arrival_delay), (2_257_174.0, 9_430));
        for (quantity, expected, missing) in [
            (Weather::Temperature, 19_105_388.72, 1_573),
            (Weather::DewPoint, 13_954_797.80, 1_573),
            (Weather::Humidity, 19_963_815.70, 1_573),
            (Weather::WindDirection, 65_899_520.0, 9_796),
            (Weather::WindSpeed, 3_724_866.568_819_999_7, 1_634),
            (Weather::WindGust, 2_029_409.736_24, 256_391),
            (Weather::Precipitation, 1_529.88, 1_556),
            (Weather::Pressure, 303_294_621.1, 38_788),
            (Weather::Visibility, 3_102_680.88, 1_556),
        ] {
            let (found, absent) = sum(rows.clone().map(|row| flights.weather(quantity, row)));
            assert!((found / expected - 1.0).abs() < 1e-9, "{quantity:?}: {found}");
            assert_eq!(absent, missing, "{quantity:?}");
        }
    }

    /// Sums over two columns at once: the rows were not shuffled against each other.
    #[test]
    fn columns_belong_together() {
        let flights = Flights::bundled().unwrap();
        let rows = 0..flights.len();
        let (found, _) = sum(rows
            .clone()
            .map(|row| flights.weather(Weather::Temperature, row).map(|t| t * flights.month(row) as f64)));
        assert!((found / 130_048_158.32 - 1.0).abs() < 1e-9, "{found}");
        let united = rows.clone().filter(|&row| flights.carrier.get(row) == "UA");
        assert_eq!(sum(united.map(|row| Some(f64::from(flights.arrival_delay(row).unwrap_or(0))))).0, 205_589.0);
        let kennedy = rows.clone().filter(|&row| flights.origin.get(row) == "JFK");
        let (wind, _) = sum(kennedy.map(|row| flights.weather(Weather::WindSpeed, row)));
        assert!((wind / 1_353_897.273_12 - 1.0).abs() < 1e-9, "{wind}");
    }

    #[test]
    fn months_are_adjacent_rows_and_cover_the_year() {
        let flights = Flights::bundled().unwrap();
        let mut end = 0;
        for month in 1..=12 {
            let rows = flights.rows_in(month..=month);
            assert_eq!(rows.start, end);
            assert!(rows.clone().all(|row| flights.month(row) == usize::from(month)));
            end = rows.end;
        }
        assert_eq!(end, flights.len());
        assert_eq!(flights.rows_in(1..=2).filter(|&row| flights.arrival_delay(row).is_some()).count(), 50_009);
    }

    proptest! {
        /// A damaged file is an error, whatever the damage: never a panic, never a row out of bounds later.
        #[test]
        fn a_truncated_file_is_refused(cut in 0usize..40) {
            let whole = tiny();
            prop_assert!(Flights::decode(&whole).is_ok());
            prop_assert!(Flights::decode(&whole[..cut.min(whole.len() - 1)]).is_err());
        }

        #[test]
        fn any_bytes_decode_or_fail_cleanly(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut file = MAGIC.to_vec();
            file.extend(bytes);
            let _ = Flights::decode(&file);
        }
    }

    /// One flight of one carrier from one origin, and a year of missing weather.
    fn tiny() -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        file.extend(1u32.to_le_bytes());
        for name in ["UA", "EWR", "IAH"] {
            file.extend(1u16.to_le_bytes());
            file.push(name.len() as u8);
            file.extend(name.as_bytes());
        }
        for value in [0i16, 315, 184, 2, 11, 0, 1545, 0, 0, 1400] {
            file.extend(value.to_le_bytes());
        }
        file.extend(std::iter::repeat_n(MISSING.to_le_bytes(), Weather::COUNT * HOURS).flatten());
        file
    }
}
