//! What things cost: a price list that holds from a moment on, written in TOML as `[rates]`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::money::{HOUR_US, Price};
use crate::base::{Fault, Timestamp, fault::Result};
use crate::capability::form::{Document, Entry};

/// Hours of a year and of a month, leap years counted in.
const HOURS_OF_YEAR: f64 = 8766.0;
pub const HOURS_OF_MONTH: f64 = HOURS_OF_YEAR / 12.0;
/// The defaults, as people may read and change them.
pub const DEFAULTS: &str = include_str!("../../../config/rates.toml");
const NAMES_MAX: usize = 1000;

/// A price list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    pub currency: String,
    /// An hour of a virtual core, of a GiB of memory, of a GPU.
    pub cpu: Price,
    pub memory: Price,
    pub gpu: Price,
    /// A GiB for an hour.
    pub storage: Price,
    /// A GiB sent out.
    pub egress: Price,
    /// By the hour.
    #[serde(default)]
    pub hosts: BTreeMap<String, Price>,
    #[serde(default)]
    pub instances: BTreeMap<String, Price>,
    /// By service or model, for a million of input and of output tokens.
    #[serde(default)]
    pub tokens: BTreeMap<String, (Price, Price)>,
}

/// A price list with the moment it holds from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    pub since: Timestamp,
    /// Ours; nobody has said otherwise.
    #[serde(default)]
    pub defaults: bool,
    pub rates: Rates,
}

/// What a file says; `None` for the moment: from when it is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    pub since: Option<Timestamp>,
    pub rates: Rates,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    since: Option<String>,
    currency: Option<String>,
    cpu_hour: Option<f64>,
    memory_gib_hour: Option<f64>,
    gpu_hour: Option<f64>,
    storage_gib_month: Option<f64>,
    egress_gib: Option<f64>,
    #[serde(default)]
    host: BTreeMap<String, MachineForm>,
    #[serde(default)]
    instance: BTreeMap<String, MachineForm>,
    #[serde(default)]
    tokens: BTreeMap<String, TokensForm>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MachineForm {
    hour: Option<f64>,
    own: Option<OwnForm>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnForm {
    price: f64,
    #[serde(default)]
    resale: f64,
    years: f64,
    #[serde(default)]
    watts: f64,
    #[serde(default = "one")]
    pue: f64,
    #[serde(default)]
    kwh: f64,
    #[serde(default)]
    hosting_month: f64,
}

fn one() -> f64 {
    1.0
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokensForm {
    input: f64,
    output: f64,
}

/// The `[rates]` of a file, if it has any; what it does not price is priced by the defaults.
///
/// # Errors
/// `Invalid` with file and line.
pub fn parse(document: &mut Document<'_>) -> Result<Option<Declared>> {
    let Some(entry) = document.table("rates")? else { return Ok(None) };
    read(&entry, Some(&defaults()?.rates)).map(Some)
}

/// The list that holds where nobody has given one.
///
/// # Errors
/// `Bug` for a program that was built with a list that is not whole.
pub fn defaults() -> Result<Listed> {
    let broken = || Fault::bug("the shipped price list is not whole");
    let mut document = Document::parse("config/rates.toml", DEFAULTS)?;
    let entry = document.table("rates")?.ok_or_else(broken)?;
    let declared = read(&entry, None)?;
    Ok(Listed { since: declared.since.ok_or_else(broken)?, defaults: true, rates: declared.rates })
}

fn read(entry: &Entry<'_>, base: Option<&Rates>) -> Result<Declared> {
    let form: Form = entry.read()?;
    let since = form.since.as_ref().map(|text| moment(entry, text)).transpose()?;
    let price = |key: &str, given: Option<f64>, part: f64, base: Option<Price>| match given {
        Some(units) => {
            // Checked as it is written, then taken to the hour.
            Price::of(units)
                .and_then(|_| Price::of(units / part))
                .map_err(|why| entry.fault(key, format!("{key}: {why}")))
        }
        None => base.ok_or_else(|| entry.fault("", format!("{key} is missing"))),
    };
    let currency = form.currency.or_else(|| base.map(|b| b.currency.clone())).unwrap_or_default();
    if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(
            entry.fault("currency", format!("a currency is three capital letters such as USD, not {currency:?}"))
        );
    }
    for (key, n) in [("host", form.host.len()), ("instance", form.instance.len()), ("tokens", form.tokens.len())] {
        if n > NAMES_MAX {
            return Err(entry.fault(key, format!("{n} prices under {key}: at most {NAMES_MAX}")));
        }
    }
    let machines = |key: &str, all: BTreeMap<String, MachineForm>| {
        all.into_iter()
            .map(|(name, form)| {
                let hour = hourly(&form).map_err(|why| entry.fault(key, format!("{key} {name:?}: {why}")))?;
                Ok((name, hour))
            })
            .collect::<Result<BTreeMap<_, _>>>()
    };
    let mut tokens = BTreeMap::new();
    for (name, form) in form.tokens {
        let of = |units| Price::of(units).map_err(|why| entry.fault("tokens", format!("tokens {name:?}: {why}")));
        tokens.insert(name.clone(), (of(form.input)?, of(form.output)?));
    }
    let rates = Rates {
        cpu: price("cpu_hour", form.cpu_hour, 1.0, base.map(|b| b.cpu))?,
        memory: price("memory_gib_hour", form.memory_gib_hour, 1.0, base.map(|b| b.memory))?,
        gpu: price("gpu_hour", form.gpu_hour, 1.0, base.map(|b| b.gpu))?,
        storage: price("storage_gib_month", form.storage_gib_month, HOURS_OF_MONTH, base.map(|b| b.storage))?,
        egress: price("egress_gib", form.egress_gib, 1.0, base.map(|b| b.egress))?,
        hosts: machines("host", form.host)?,
        instances: machines("instance", form.instance)?,
        currency,
        tokens,
    };
    Ok(Declared { since, rates })
}

/// Prices change on the hour, since older counters are kept by the hour.
fn moment(entry: &Entry<'_>, text: &str) -> Result<Timestamp> {
    let wrong = |why: &str| entry.fault("since", format!("since {text:?}: {why}"));
    let at = Timestamp::parse(text).ok_or_else(|| wrong("no date or moment such as 2026-11-01T00:00:00Z"))?;
    if at.0.rem_euclid(HOUR_US) != 0 {
        return Err(wrong("prices change on the hour, since older counters are kept by the hour"));
    }
    Ok(at)
}

/// A machine's hour: as it is rented, or what one's own loses in worth, draws in power and takes in room.
fn hourly(form: &MachineForm) -> Result<Price, String> {
    match (form.hour, &form.own) {
        (Some(hour), None) => Price::of(hour),
        (None, Some(own)) => {
            let parts = [own.price, own.resale, own.watts, own.kwh, own.hosting_month];
            if let Some(odd) = parts.iter().find(|v| !v.is_finite() || **v < 0.0) {
                return Err(format!("a number of 0 or more is needed, not {odd}"));
            }
            if own.resale > own.price {
                return Err(format!("it cannot be sold for {} when it cost {}", own.resale, own.price));
            }
            if !(0.1..=50.0).contains(&own.years) {
                return Err(format!("a life of 0.1 to 50 years, not {}", own.years));
            }
            if !(1.0..=5.0).contains(&own.pue) {
                return Err(format!("power usage effectiveness lies between 1 and 5, not {}", own.pue));
            }
            let worth = (own.price - own.resale) / (own.years * HOURS_OF_YEAR);
            let power = own.watts / 1000.0 * own.pue * own.kwh;
            Price::of(worth + power + own.hosting_month / HOURS_OF_MONTH)
        }
        _ => Err("either hour or own is given".to_owned()),
    }
}

impl Rates {
    /// # Errors
    /// `Invalid` for a price that is none.
    pub fn check(&self) -> Result<()> {
        let named = [("cpu", self.cpu), ("memory", self.memory), ("gpu", self.gpu)];
        let named = named.into_iter().chain([("storage", self.storage), ("egress", self.egress)]);
        let named = named.map(|(n, p)| (n.to_owned(), p));
        let machines = self.hosts.iter().chain(&self.instances).map(|(n, p)| (n.clone(), *p));
        let tokens = self.tokens.iter().flat_map(|(n, (a, b))| [(n.clone(), *a), (n.clone(), *b)]);
        match named.chain(machines).chain(tokens).find(|(_, price)| !price.is_sound()) {
            Some((name, price)) => Err(Fault::invalid(format!("{} is no price of {name}", price.units()))
                .next("give 0 or more, within reason")),
            None => Ok(()),
        }
    }

    /// In a line, for people.
    pub fn asked(&self) -> String {
        format!(
            "core {}, GiB {}, GPU {} an hour; {} hosts, {} instances, tokens of {}",
            self.cpu.units(),
            self.memory.units(),
            self.gpu.units(),
            self.hosts.len(),
            self.instances.len(),
            self.tokens.len()
        )
    }
}

/// The list that holds at a moment. `lists` are by moment; the first one also counts for what was before it.
pub fn at(lists: &[Listed], moment: Timestamp) -> Option<&Listed> {
    lists.iter().rev().find(|l| l.since <= moment).or_else(|| lists.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(text: &str) -> Result<Declared> {
        parse(&mut Document::parse("r.toml", text).unwrap()).map(Option::unwrap)
    }

    #[test]
    fn the_shipped_list_is_whole_and_dated() {
        let list = defaults().unwrap();
        assert_eq!(list.since.to_string(), "2026-11-01T00:00:00Z");
        assert_eq!(list.rates.cpu, Price(31_611_000));
        assert!(list.rates.hosts.is_empty() && list.rates.tokens.is_empty());
    }

    #[test]
    fn what_is_given_stands_and_the_rest_is_default() {
        let text = "[rates]\ngpu_hour = 2.5\n[rates.host.a]\nhour = 1.2\n[rates.tokens.s]\ninput = 0.15\noutput = 0.6\n\
            [rates.host.own]\nown = { price = 12000, resale = 2000, years = 4, watts = 450, pue = 1.4, kwh = 0.3, hosting_month = 80 }\n";
        let rates = declared(text).unwrap().rates;
        assert_eq!((rates.gpu, rates.cpu), (Price(2_500_000_000), defaults().unwrap().rates.cpu));
        assert_eq!(rates.hosts["a"], Price(1_200_000_000));
        // 10000 / 35064 + 0.45 x 1.4 x 0.3 + 80 / 730.5 by hand: 0.285192790 + 0.189 + 0.109514031.
        assert_eq!(rates.hosts["own"], Price(583_706_822));
        assert_eq!(rates.tokens["s"], (Price(150_000_000), Price(600_000_000)));
    }

    #[test]
    fn bad_prices_are_refused_with_line_and_reason() {
        for (text, words) in [
            ("[rates]\ncpu_hour = -0.1\n", "r.toml line 2: cpu_hour: a price is a number of 0 or more, not -0.1"),
            ("[rates]\n\ngpu_hour = 9e9\n", "r.toml line 3: gpu_hour: 9000000000 is beyond all measure"),
            ("[rates]\ngpu_hour = nan\n", "r.toml line 2: gpu_hour: a price is a number"),
            (
                "[rates]\nsince = '2026-11-01T00:30:00Z'\n",
                "line 2: since \"2026-11-01T00:30:00Z\": prices change on the hour",
            ),
            ("[rates]\ncurrency = 'dollar'\n", "line 2: a currency is three capital letters"),
            ("[rates]\n[rates.host.a]\nhours = 1\n", "unknown field `hours`"),
            ("[rates]\n[rates.host.a]\n", "host \"a\": either hour or own is given"),
            ("[rates]\n[rates.host.a]\nown = { price = 1, resale = 2, years = 3 }\n", "cannot be sold for 2"),
            ("[rates]\n[rates.tokens.a]\ninput = -1\noutput = 1\n", "tokens \"a\": a price is"),
            ("[[rates]]\n", "r.toml line 1: rates is written as [rates]"),
        ] {
            let fault = declared(text).unwrap_err().to_string();
            assert!(fault.contains(words), "{fault}");
        }
    }
}
