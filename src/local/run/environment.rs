//! Interpreter and packages as a run had them: checked, and where they differ installed once more into an environment of
//! their own, by uv or pip. What was installed is then held against what was captured, file lists with their hashes too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{find_program, gather};
use crate::base::{Fault, fault::Result};
use crate::capability::training::{Capture, Cause, Interpreter, Package, StandIn};

/// When to restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restore {
    WhenDifferent,
    Always,
    Never,
}

/// What a repetition runs with instead.
pub struct Restored {
    /// The folder of the virtual environment.
    pub folder: PathBuf,
    pub stand_in: StandIn,
}

type Variables = BTreeMap<String, String>;
type Attempt<T> = std::result::Result<T, Cause>;

/// Checks what the original ran with, and restores it below `scratch` if that is asked for. `Ok(None)`: it is as it was.
///
/// # Errors
/// The cause for which it can be neither found nor restored.
pub fn settle(
    then: &Capture,
    variables: &Variables,
    scratch: &Path,
    when: Restore,
    tell: &dyn Fn(&str),
) -> Attempt<Option<Restored>> {
    let Some(was) = then.interpreter.as_ref().filter(|_| when != Restore::Never) else { return Ok(None) };
    let now = gather::ask(Path::new(&was.path), variables);
    let apart = difference(was, &then.packages, now.as_ref());
    let Some(apart) = apart.or_else(|| (when == Restore::Always).then(|| Cause::new("packages", "as asked for")))
    else {
        return Ok(None);
    };
    tell(&format!("restoring {} packages of Python {}; {}", then.packages.len(), was.version, apart.told()));
    let folder = scratch.join("environment");
    restore(was, &then.packages, variables, &folder).map_err(|fault| {
        let why = format!("{}; it could not be restored: {}", apart.why, told(&fault));
        Cause { why, ..apart.clone() }
    })?;
    let python = folder.join("bin/python");
    match difference(was, &then.packages, gather::ask(&python, variables).as_ref()) {
        None => {
            let then = Path::new(&was.path).parent().and_then(Path::parent).unwrap_or(Path::new("/"));
            let stand_in = StandIn { now: folder.display().to_string(), then: then.display().to_string() };
            Ok(Some(Restored { folder, stand_in }))
        }
        Some(left) => Err(Cause { why: format!("{}, also after it was restored", left.why), ..left }),
    }
}

fn told(fault: &Fault) -> String {
    if fault.why.is_empty() { fault.what.clone() } else { format!("{}: {}", fault.what, fault.why) }
}

/// The first thing in which an environment is not what it was.
fn difference(was: &Interpreter, packages: &[Package], now: Option<&(Interpreter, Vec<Package>)>) -> Option<Cause> {
    let Some((is, there)) = now else {
        return Some(Cause::new(format!("interpreter {}", was.path), "it is not there any more"));
    };
    if (&is.version, &is.build) != (&was.version, &was.build) {
        let word = |i: &Interpreter| format!("{} {}", i.version, i.build);
        let cause = Cause::new("interpreter", "it is another build");
        return Some(cause.changed(Some(&word(was)), Some(&word(is))));
    }
    let by_name = |all: &[Package]| all.iter().map(|p| (p.name.clone(), p.clone())).collect::<BTreeMap<_, _>>();
    let (then, now) = (by_name(packages), by_name(there));
    let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let mut apart = names.into_iter().filter(|name| !same(then.get(*name), now.get(*name)));
    let first = apart.next()?;
    let version = |all: &BTreeMap<String, Package>| all.get(first).map(|p| p.version.clone());
    let (a, b) = (version(&then), version(&now));
    let why = if a == b { "the same version has other files" } else { "another version is installed" };
    let why = match apart.count() {
        0 => why.to_owned(),
        more => format!("{why}, and {more} more packages differ"),
    };
    Some(Cause::new(format!("package {first}"), why).changed(a.as_deref(), b.as_deref()))
}

/// A list of files counts where both have one: installers need not write it.
fn same(a: Option<&Package>, b: Option<&Package>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.version == b.version && (a.hash == b.hash || a.hash.is_none() || b.hash.is_none()),
        _ => false,
    }
}

/// Makes the environment.
fn restore(was: &Interpreter, packages: &[Package], variables: &Variables, folder: &Path) -> Result<()> {
    let list = folder.with_extension("txt");
    std::fs::write(&list, requirements(packages))
        .map_err(|e| Fault::unavailable(format!("cannot write {}", list.display())).why(e.to_string()))?;
    let base = base(was, variables);
    let python = folder.join("bin/python");
    if let Ok(uv) = find_program("uv", Path::new("/")) {
        let wanted = base.clone().unwrap_or_else(|| PathBuf::from(&was.version));
        run(Command::new(&uv).args(["venv", "--quiet", "--python"]).arg(wanted).arg(folder), variables)?;
        let mut install = Command::new(&uv);
        install.args(["pip", "install", "--quiet", "--no-deps", "--python"]).arg(&python).arg("-r").arg(&list);
        return run(&mut install, variables);
    }
    let base = base.ok_or_else(|| {
        Fault::not_found(format!("there is no Python {} of that build", was.version))
            .why("neither where it was nor on the PATH, and there is no uv that would fetch it")
    })?;
    run(Command::new(base).args(["-m", "venv"]).arg(folder), variables)?;
    let pip = |words: &[&str]| {
        let mut command = Command::new(&python);
        command.args(["-m", "pip", "--disable-pip-version-check", "--no-input"]).args(words);
        command
    };
    if !packages.is_empty() {
        run(pip(&["install", "--quiet", "--no-deps", "-r"]).arg(&list), variables)?;
    }
    // The installer itself came along; it goes again where the original had none.
    let known: BTreeSet<&str> = packages.iter().map(|p| p.name.as_str()).collect();
    let extra: Vec<&str> = ["setuptools", "wheel", "pip"].into_iter().filter(|n| !known.contains(n)).collect();
    if !extra.is_empty() {
        run(pip(&["uninstall", "--quiet", "--yes"]).args(extra), variables)?;
    }
    Ok(())
}

fn requirements(packages: &[Package]) -> String {
    let line = |p: &Package| match &p.from {
        Some(url) => format!("{} @ {url}\n", p.name),
        None => format!("{}=={}\n", p.name, p.version),
    };
    packages.iter().map(line).collect()
}

/// An interpreter of the same version and build: the one that was, the one it stood on, or one of the PATH.
fn base(was: &Interpreter, variables: &Variables) -> Option<PathBuf> {
    let short: String = was.version.split('.').take(2).collect::<Vec<_>>().join(".");
    let on_path = [format!("python{short}"), "python3".to_owned()];
    let found = on_path.iter().filter_map(|name| find_program(name, Path::new("/")).ok());
    let mut candidates = [&was.base, &was.path].into_iter().filter(|p| !p.is_empty()).map(PathBuf::from).chain(found);
    candidates.find(|path| {
        gather::ask(path, variables).is_some_and(|(is, _)| (&is.version, &is.build) == (&was.version, &was.build))
    })
}

fn run(command: &mut Command, variables: &Variables) -> Result<()> {
    let word = command.get_program().to_string_lossy().into_owned();
    // What the caller's own environment says of packages must not leak in.
    command.envs(variables).env_remove("PYTHONPATH").env_remove("PIP_REQUIRE_VIRTUALENV").env_remove("VIRTUAL_ENV");
    let problem = |why: String| Fault::unavailable(format!("{word} failed")).why(why);
    let done = command.stdin(Stdio::null()).output().map_err(|e| problem(e.to_string()))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    let last: Vec<&str> = said.lines().filter(|l| !l.trim().is_empty()).rev().take(3).collect();
    Err(problem(last.into_iter().rev().collect::<Vec<_>>().join(" / ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, hash: Option<&str>) -> Package {
        Package { name: name.into(), version: version.into(), hash: hash.map(Into::into), from: None }
    }

    #[test]
    fn the_first_difference_is_named() {
        let was = Interpreter { version: "3.11.7".into(), build: "b".into(), ..Interpreter::default() };
        let then = [package("a", "1", Some("x")), package("b", "2", None)];
        let told = |is: &Interpreter, now: &[Package]| {
            difference(&was, &then, Some(&(is.clone(), now.to_vec()))).map(|c| c.told())
        };
        assert_eq!(told(&was, &then), None);
        assert_eq!(told(&was, &[package("a", "1", None), package("b", "2", Some("y"))]), None, "lists are optional");
        let other = told(&was, &[package("a", "1", Some("z")), package("c", "2", None)]).unwrap();
        assert!(
            other.starts_with("package a (1 then, 1 now): the same version has other files, and 2 more"),
            "{other}"
        );
        let newer = Interpreter { version: "3.12.0".into(), ..was.clone() };
        assert!(told(&newer, &then).unwrap().starts_with("interpreter (3.11.7 b then, 3.12.0 b now)"));
        assert!(difference(&was, &then, None).unwrap().why.contains("not there"));
        let from = Package { from: Some("git+https://h/r@abc".into()), ..package("c", "3", None) };
        assert_eq!(requirements(&[then[0].clone(), from]), "a==1\nc @ git+https://h/r@abc\n");
    }
}
