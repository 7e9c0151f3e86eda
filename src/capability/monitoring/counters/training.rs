//! The training profile of a version: the counts of all data versions that its run learned from, in the bins of one of them.

use super::arm::ArmColumn;
use super::ingest::Inner;
use crate::capability::datasets::profile::{Column, Counts, Reference, TableProfile};
use crate::capability::datasets::{self, DatasetVersion};
use crate::capability::registry;
use crate::db::Source;

/// Data that was there to judge a model, not to teach it.
const NOT_LEARNED: [&str; 4] = ["eval", "evaluation", "test", "validation"];

/// A data version with its table.
struct Learned {
    dataset: String,
    version: u32,
    table: TableProfile,
}

/// `None` where none is kept; what cannot be read is no reason to refuse a prediction.
pub(super) async fn profile(inner: &Inner, model: &str, version: &str) -> Option<Vec<ArmColumn>> {
    inner.blobs.as_ref()?;
    let number: u32 = version.trim_start_matches('v').parse().ok()?;
    let view = registry::model(Source::Pool(inner.db.read()), model, None).await.ok()?;
    let of = view.versions.into_iter().find(|v| v.version == number)?;
    let taught = |context: &str| !NOT_LEARNED.contains(&context.to_ascii_lowercase().as_str());
    let mut learned: Vec<Learned> = Vec::new();
    for data in of.doc.datasets.iter().filter(|d| taught(&d.context)) {
        let Ok(Some(found)) = datasets::meant_by(inner.db.read(), &data.digest).await else { continue };
        learned.extend(read(inner, found).await);
    }
    let first = learned.first()?.dataset.clone();
    // Other data sets have other columns, or the same ones in bins that do not fit.
    learned.retain(|l| l.dataset == first);
    learned.sort_by_key(|l| l.version);
    learned.dedup_by_key(|l| l.version);
    if learned.len() == 1 {
        let one = learned.pop()?;
        let source = format!("{}@{}", one.dataset, one.version);
        let column = |c: Column| ArmColumn::new(c.name, source.clone(), c.reference, c.counts);
        return Some(one.table.columns.into_iter().map(column).collect());
    }
    // The data set's first version gave the bins that every later one is counted in, too.
    let base = learned.iter().find_map(|l| l.table.baseline).unwrap_or(learned[0].version);
    let bins = if let Some(own) = learned.iter().find(|l| l.version == base) {
        own.table.clone()
    } else {
        let found = datasets::version(inner.db.read(), &first, base).await.ok()?;
        read(inner, found).await?.table
    };
    Some(together(&first, base, &bins, &learned))
}

async fn read(inner: &Inner, found: DatasetVersion) -> Option<Learned> {
    let profile = datasets::read_profile(inner.blobs.as_ref()?, &found.doc).await.ok()??;
    let table = profile.tables.into_iter().next()?;
    Some(Learned { dataset: found.dataset, version: found.version, table })
}

/// The columns that every one of them has in these bins, counted together.
fn together(dataset: &str, base: u32, bins: &TableProfile, learned: &[Learned]) -> Vec<ArmColumn> {
    let first = learned.first().map_or(0, |l| l.version);
    let last = learned.last().map_or(0, |l| l.version);
    let whole = usize::try_from(last - first).is_ok_and(|n| n + 1 == learned.len());
    let source =
        if whole { format!("{dataset}@{first}-{last}") } else { format!("{} versions of {dataset}", learned.len()) };
    let counted = |column: &Column| -> Option<Counts> {
        let mut sum = column.reference.empty();
        for l in learned {
            let same = l.table.column(&column.name)?;
            let counts = if l.version == base { Some(&same.counts) } else { same.baseline.as_ref() };
            sum.merge(counts.filter(|c| fits(&column.reference, c))?);
        }
        Some(sum)
    };
    let of = |c: &Column| Some(ArmColumn::new(c.name.clone(), source.clone(), c.reference.clone(), counted(c)?));
    bins.columns.iter().filter_map(of).collect()
}

fn fits(reference: &Reference, counts: &Counts) -> bool {
    counts.bins.len() == reference.empty().bins.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::datasets::profile::{Kind, NumberBins};

    fn table(values: &[f64], baseline: Option<(u32, &NumberBins)>) -> TableProfile {
        let bins = NumberBins { edges: vec![values[0], values[1]], ..NumberBins::default() };
        let count = |bins: &NumberBins| {
            let mut counts = Reference::Numbers(bins.clone()).empty();
            values.iter().for_each(|x| counts.add_number(bins, *x, 1));
            counts
        };
        let column = Column {
            name: "x".into(),
            kind: Kind::Number,
            counts: count(&bins),
            baseline: baseline.map(|(_, b)| count(b)),
            reference: Reference::Numbers(bins),
        };
        TableProfile { columns: vec![column], baseline: baseline.map(|b| b.0), ..TableProfile::default() }
    }

    #[test]
    fn data_versions_count_together_in_the_bins_of_the_first() {
        let january = table(&[1.0, 2.0, 3.0], None);
        let Reference::Numbers(bins) = &january.columns[0].reference else { panic!() };
        let february = table(&[2.5, 5.0, 9.0, 0.5], Some((1, bins)));
        let learned = |version, table| Learned { dataset: "d".into(), version, table };
        let all = [learned(1, january.clone()), learned(2, february.clone())];
        let columns = together("d", 1, &january, &all);
        assert_eq!((columns[0].source.as_str(), columns[0].counts.n), ("d@1-2", 7));
        assert_eq!(columns[0].counts.bins, [2, 1, 4]);
        // A version whose bins are others cannot be added.
        let alone = [learned(1, january.clone()), learned(2, table(&[2.5, 5.0], None))];
        assert!(together("d", 1, &january, &alone).is_empty());
    }
}
