//! Rows as structs, without sqlx's derive: its macros are compiled with both drivers once more for the compiler's own host,
//! SQLite's C included, which was a fifth of a cold build.

/// A struct whose fields are read from the columns of their names, on either engine:
/// `row_struct! { struct TokenRow { name: String, expires: Option<i64> } }`.
#[macro_export]
macro_rules! row_struct {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($field_vis:vis $field:ident: $kind:ty),* $(,)? }) => {
        $(#[$meta])*
        $vis struct $name { $($field_vis $field: $kind),* }

        impl<'r, R> sqlx::FromRow<'r, R> for $name
        where
            R: sqlx::Row,
            &'static str: sqlx::ColumnIndex<R>,
            $($kind: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,)*
        {
            fn from_row(row: &'r R) -> sqlx::Result<Self> {
                Ok(Self { $($field: row.try_get(stringify!($field))?),* })
            }
        }
    };
}
