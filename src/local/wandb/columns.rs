//! Points of a history as they are read: a column a metric, without a document a record.

use super::names::of;
use crate::capability::tracking::points::Point;

/// Series by metric.
#[derive(Default)]
pub struct Columns {
    /// Where the column of a name is, by the name's number.
    places: Vec<Option<usize>>,
    all: Vec<Column>,
    /// Points that have not been taken out.
    pub waiting: usize,
}

struct Column {
    key: String,
    points: Vec<Point>,
    newest: Option<f64>,
}

impl Columns {
    /// The column of a name that has this number; `named` makes the name that tracking has.
    #[inline]
    pub fn place(&mut self, number: usize, named: impl FnOnce() -> String) -> usize {
        let Self { places, all, .. } = self;
        *of(places, number).get_or_insert_with(|| {
            let key = named();
            // Two names may become one.
            all.iter().position(|c| c.key == key).unwrap_or_else(|| {
                all.push(Column { key, points: Vec::new(), newest: None });
                all.len() - 1
            })
        })
    }

    /// Notes a point; one that the store has already is only noted for its value.
    pub fn push(&mut self, place: usize, point: Point, known: bool) {
        let column = &mut self.all[place];
        column.newest = Some(point.value);
        if !known {
            column.points.push(point);
            self.waiting += 1;
        }
    }

    /// The newest value of a metric.
    pub fn newest(&self, key: &str) -> Option<f64> {
        self.all.iter().find(|c| c.key == key).and_then(|c| c.newest)
    }

    /// Takes the points out that wait.
    pub fn take(&mut self) -> Vec<(String, Vec<Point>)> {
        self.waiting = 0;
        let full = self.all.iter_mut().filter(|c| !c.points.is_empty());
        // About as many come again: the next ones find room.
        let taken = |c: &mut Column| {
            let room = Vec::with_capacity(c.points.len());
            std::mem::replace(&mut c.points, room)
        };
        full.map(|c| (c.key.clone(), taken(c))).collect()
    }
}
