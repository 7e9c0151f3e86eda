//! What the demonstration trains, season by season, and why: the plot as data.

use std::ops::RangeInclusive;

use super::features::{Categorical, Numeric};
use super::logistic::Settings;

/// One run of the story.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    pub name: &'static str,
    /// What one hopes to learn from it.
    pub question: &'static str,
    pub settings: Settings,
}

/// A stretch of the year: what is trained at its end, and judged on the first month nobody has seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Season {
    pub name: &'static str,
    pub runs: Vec<Planned>,
    /// The first month after the training data (1 is January).
    pub judged_on: u8,
}

/// Winter: many settings on January and February. The best of them goes to production.
pub fn winter() -> Season {
    let base = Settings::default();
    let lean = vec![Categorical::Origin, Categorical::Carrier];
    let run = |name, question, settings| Planned { name, question, settings };
    Season {
        name: "winter",
        judged_on: 3,
        runs: vec![
            run(
                "schedule-only",
                "How far does the timetable alone go, without any weather?",
                Settings { numeric: Numeric::SCHEDULE.to_vec(), ..base.clone() },
            ),
            run("weather", "What does the weather at departure add?", base.clone()),
            run("weather-seed-2", "The same settings again: how much is luck?", Settings { seed: 2, ..base.clone() }),
            run("weather-seed-3", "The same settings again: how much is luck?", Settings { seed: 3, ..base.clone() }),
            run(
                "weather-lean",
                "Airport and airline instead of every route and hour.",
                Settings { categorical: lean, ..base.clone() },
            ),
            run("weather-slow", "A third of the learning rate.", Settings { learning_rate: 0.001, ..base.clone() }),
            run(
                "weather-strong-l2",
                "A hundred times the penalty on large weights.",
                Settings { l2: 0.01, ..base.clone() },
            ),
            run("weather-too-fast", "A learning rate that overshoots.", Settings { learning_rate: 1.0, ..base }),
        ],
    }
}

/// Summer: the world has moved, the same model learns from later months.
pub fn summer() -> Season {
    let on = |months: RangeInclusive<u8>, epochs| Settings { months, epochs, ..Settings::default() };
    let run = |name, question, settings| Planned { name, question, settings };
    Season {
        name: "summer",
        judged_on: 7,
        runs: vec![
            run("half-year", "All that is known: January to June.", on(1..=6, 4)),
            run("spring", "Only since the weather turned: April to June.", on(4..=6, 6)),
            run("recent", "Only the two latest months: May and June.", on(5..=6, 8)),
            run(
                "recent-seed-2",
                "The two latest months again: how much is luck?",
                Settings { seed: 2, ..on(5..=6, 8) },
            ),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_judged_on_months_it_learned_from() {
        for season in [winter(), summer()] {
            for run in &season.runs {
                assert!(*run.settings.months.end() < season.judged_on, "{}", run.name);
            }
        }
    }

    #[test]
    fn some_settings_are_repeated_with_another_seed() {
        let season = winter();
        let repeats =
            season.runs.iter().filter(|run| Settings { seed: 1, ..run.settings.clone() } == Settings::default());
        assert_eq!(repeats.count(), 3);
    }
}
