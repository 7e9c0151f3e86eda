//! A decision for CI: JUnit XML, a Markdown summary, and annotations of GitHub's runner.

use std::fmt::Write as _;

use crate::base::show;
use crate::capability::gates::{Decision, Finding, Verdict};

fn title(d: &Decision) -> String {
    format!("{} v{} to {}", d.model, d.version, d.stage.name())
}

/// A test case a gate: failures fail, what is inconclusive is an error, what was waived is skipped.
pub(super) fn junit(d: &Decision) -> String {
    let count = |f: &dyn Fn(&Finding) -> bool| d.gates.iter().filter(|g| f(g)).count();
    let failures = count(&|f| f.waived.is_none() && f.verdict == Verdict::Fail);
    let errors = count(&|f| f.waived.is_none() && f.verdict == Verdict::Inconclusive);
    let skipped = count(&|f| f.waived.is_some());
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n".to_owned();
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" \
         timestamp=\"{}\">",
        escaped(&title(d)),
        d.gates.len(),
        d.at
    );
    for f in &d.gates {
        let (name, why) = (escaped(&f.name), escaped(&format!("{} (asked: {})", f.why, f.bound)));
        let class = escaped(&format!("{}.{}", d.model, d.stage.name()));
        let _ = write!(xml, "    <testcase name=\"{name}\" classname=\"{class}\"");
        let _ = match (f.waived.is_some(), f.verdict) {
            (_, Verdict::Pass) => writeln!(xml, "/>"),
            (true, _) => writeln!(xml, "><skipped message=\"{why}\"/></testcase>"),
            (_, Verdict::Fail) => writeln!(xml, "><failure message=\"{why}\"/></testcase>"),
            (_, Verdict::Inconclusive) => {
                writeln!(xml, "><error type=\"inconclusive\" message=\"{why}\"/></testcase>")
            }
        };
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

/// What XML 1.0 can hold, with its special signs written out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A heading and a table in Markdown.
pub(super) fn summary(d: &Decision) -> String {
    let sign = |v: Verdict| match v {
        Verdict::Pass => "✅ pass",
        Verdict::Fail => "❌ fail",
        Verdict::Inconclusive => "❔ inconclusive",
    };
    let cell = |text: &str| text.replace('|', "\\|").replace(['\n', '\r'], " ");
    let mut text = format!("### {}: {}\n\n", cell(&title(d)), sign(d.verdict));
    if d.ungated {
        text.push_str("No gate is defined: the version is ungated.\n");
    } else {
        text.push_str("| gate | verdict | observed | asked | why |\n|---|---|---|---|---|\n");
    }
    for f in &d.gates {
        let verdict =
            if f.waived.is_some() { format!("{} (waived)", sign(f.verdict)) } else { sign(f.verdict).to_owned() };
        let observed = match &f.observed {
            serde_json::Value::Number(n) => n.as_f64().map_or_else(|| n.to_string(), show::metric),
            serde_json::Value::String(text) => text.clone(),
            _ => "-".to_owned(),
        };
        let _ = writeln!(
            text,
            "| {} | {verdict} | {} | {} | {} |",
            cell(&f.name),
            cell(&observed),
            cell(&f.bound),
            cell(&f.why)
        );
    }
    if d.id > 0 {
        let _ = writeln!(text, "\nDecision #{}: `opsroom gate show {}`", d.id, d.id);
    }
    text.push('\n');
    text
}

/// One line a gate that does not pass.
pub(super) fn annotations(d: &Decision) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let line = |f: &Finding| {
        let kind = match (f.waived.is_some(), f.verdict) {
            (true, _) => "notice",
            (_, Verdict::Fail) => "error",
            _ => "warning",
        };
        format!("::{kind} title={}::{}\n", property(&format!("{} {}", title(d), f.name)), data(&f.why))
    };
    d.gates.iter().filter(|f| f.verdict != Verdict::Pass).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::capability::registry::Stage;

    fn decision() -> Decision {
        let finding = |name: &str, verdict| Finding {
            name: name.to_owned(),
            kind: "absolute".to_owned(),
            verdict,
            observed: 0.61.into(),
            bound: ">= 0.65".to_owned(),
            why: "auc is \"0.61\" <& low> | 100 %".to_owned(),
            next: String::new(),
            rows_missing: None,
            waived: None,
            slices: Vec::new(),
        };
        Decision {
            id: 7,
            at: Timestamp(0),
            model: "delay".to_owned(),
            version: 2,
            stage: Stage::Prod,
            verdict: Verdict::Fail,
            ungated: false,
            gates: vec![finding("a", Verdict::Pass), finding("b", Verdict::Fail), finding("c", Verdict::Inconclusive)],
            by: String::new(),
            digest: String::new(),
            case: None,
        }
    }

    #[test]
    fn reports_are_well_formed_whatever_stands_in_them() {
        let d = decision();
        let xml = junit(&d);
        assert!(xml.contains("tests=\"3\" failures=\"1\" errors=\"1\" skipped=\"0\""), "{xml}");
        assert!(xml.contains("&quot;0.61&quot; &lt;&amp; low&gt;") && !xml.contains("<& "), "{xml}");
        let text = summary(&d);
        assert!(text.starts_with("### delay v2 to prod: ❌ fail") && text.contains("low> \\| 100 %"), "{text}");
        let lines = annotations(&d);
        assert_eq!(lines.lines().count(), 2);
        assert!(lines.starts_with("::error title=delay v2 to prod b::auc is") && lines.contains("100 %25"), "{lines}");
    }
}
