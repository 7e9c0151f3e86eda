//! Tables as files hold them: what is counted, what is refused, and where.

use std::fs;
use std::path::Path;

use super::*;
use crate::capability::datasets::profile::{Kind, Reference};
use crate::local::data::{Cache, scan};

fn of(folder: &Path) -> Result<(Profile, Vec<String>)> {
    let cache = Cache::new(folder.join("../cache"));
    let files = scan(folder, &cache, &|_, _, _| {})?.files;
    profile(&find(&files), None, &|_, _, _| {})
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("data")).unwrap();
    for (name, text) in files {
        fs::write(home.path().join("data").join(name), text).unwrap();
    }
    home
}

#[test]
fn a_csv_is_profiled_by_what_it_holds() {
    let text = "id,price,city,open,mixed,city\n1,1.5,Rome,true,1,a\n2,,Bonn,false,2,b\n3,NaN,Rome,true,x,a\n4,inf,NA,true,2,c\n";
    let home = folder(&[("a.csv", text)]);
    let (profile, notes) = of(&home.path().join("data")).unwrap();
    let table = &profile.tables[0];
    let kinds: Vec<(&str, Kind)> = table.columns.iter().map(|c| (c.name.as_str(), c.kind)).collect();
    let expected = [
        ("id", Kind::Integer),
        ("price", Kind::Number),
        ("city", Kind::Text),
        ("open", Kind::Boolean),
        ("mixed", Kind::Text),
        ("city.1", Kind::Text),
    ];
    assert_eq!((kinds.as_slice(), table.rows, notes.len()), (expected.as_slice(), 4, 0));
    let price = &table.columns[1].counts;
    assert_eq!((price.n, price.missing, price.infinite_high, price.present()), (4, 2, 1, 1));
    let Reference::Categories(mixed) = &table.columns[4].reference else { panic!("text") };
    assert_eq!(
        (&mixed.top, &table.columns[4].counts.bins),
        (&["2", "1", "x"].map(compact_str::CompactString::from).to_vec(), &vec![2, 1, 1])
    );
    assert_eq!(table.columns[2].counts.missing, 1);
}

#[test]
fn a_ragged_row_is_named() {
    let home = folder(&[("a.csv", "x,y\n1,2\n3\n")]);
    let fault = of(&home.path().join("data")).unwrap_err();
    assert!(fault.what.contains("a.csv line 3") && fault.why.contains("1 fields, the header has 2"), "{fault}");
}

#[test]
fn files_of_one_schema_are_one_table_in_any_order() {
    let parts = [("b.csv", "x;y\n3;c\n"), ("a.csv", "x;y\n1;a\n2;b\n"), ("other.tsv", "z\n1\n")];
    let home = folder(&parts);
    let (profile, _) = of(&home.path().join("data")).unwrap();
    let shown: Vec<(&[String], u64)> = profile.tables.iter().map(|t| (t.files.as_slice(), t.rows)).collect();
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown, [(names(&["a.csv", "b.csv"]).as_slice(), 3), (names(&["other.tsv"]).as_slice(), 1)]);
}
