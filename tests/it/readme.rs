//! The README is true: every `opsroom` line of it is a command line that exists.

use std::path::Path;

use crate::support::Home;

#[test]
fn every_command_of_the_readme_exists() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let home = Home::new();
    let mut seen = 0;
    for line in shell_lines(&text) {
        let line = line.split(" #").next().unwrap_or(line).trim().trim_end_matches('&').trim();
        let Some(arguments) = line.strip_prefix("cargo run --release -- ").or_else(|| line.strip_prefix("opsroom "))
        else {
            continue;
        };
        // What follows `--` is a line of another program.
        let mut arguments: Vec<String> = words(arguments).into_iter().take_while(|w| w != "--").collect();
        // Help is printed only when all before it could be read; a wrong verb or flag ends with 2.
        arguments.push("--help".to_owned());
        let borrowed: Vec<&str> = arguments.iter().map(String::as_str).collect();
        home.run(&borrowed).expect(0);
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} commands found: does the test still read the README?");
}

fn shell_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        if line.starts_with("```") {
            inside = *line == "```sh";
            return false;
        }
        inside
    })
}

/// Words as a shell splits them, with double quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (i, part) in line.split('"').enumerate() {
        if i % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(ToOwned::to_owned));
        }
    }
    words
}
