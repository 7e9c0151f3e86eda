//! Data versions as a user makes them: on both engines, with files that misbehave.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use bytes::Bytes;
use opsroom::capability::datasets::pack::Packer;
use opsroom::capability::datasets::{self, Chunk, Digest, FileEntry, Manifest, VersionDoc};
use opsroom::capability::{Command, Ctx, Envelope, perform};
use serde_json::Value;

use crate::stores::{kim, on_each_engine};
use crate::support::Agent;

fn noise(seed: u8, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new_derive_key(&format!("opsroom tests {seed}")).finalize_xof().fill(&mut out);
    out
}

/// A folder with small files, a large one and a table.
fn tree(agent: &Agent) -> std::path::PathBuf {
    let root = agent.home().path().join("tree");
    fs::create_dir_all(root.join("deep/er")).unwrap();
    for i in 0..50_u8 {
        fs::write(root.join(format!("deep/{i}.bin")), noise(i, 4096)).unwrap();
    }
    fs::write(root.join("deep/er/large"), noise(99, 6 << 20)).unwrap();
    fs::write(root.join("empty"), b"").unwrap();
    let rows: String =
        (0..500).map(|i| format!("{i},{},{}\n", f64::from(i % 7) / 2.0, ["a", "b"][i as usize % 2])).collect();
    fs::write(root.join("table.csv"), format!("id,x,c\n{rows}")).unwrap();
    root
}

fn add(agent: &Agent, path: &Path, args: &[&str]) -> Value {
    let mut all = vec!["data", "add", path.to_str().unwrap(), "--json"];
    all.extend(args);
    agent.cli(&all).expect(0).json()
}

#[test]
fn a_version_is_added_listed_and_checked_out() {
    let agent = Agent::start();
    let root = tree(&agent);
    let first = add(&agent, &root, &["--name", "flights"]);
    assert_eq!((&first["dataset"], &first["version"], &first["files"]), (&"flights".into(), &1.into(), &53.into()));
    assert!(first["bytes_stored"].as_u64().unwrap() > 6 << 20, "{first}");
    assert_eq!(first["tables"][0]["rows"], 500);
    let again = add(&agent, &root, &["--name", "flights"]);
    assert_eq!((&again["version"], &again["bytes_stored"], &again["unchanged"]), (&1.into(), &0.into(), &true.into()));
    assert_eq!(again["digest"], first["digest"]);
    // The same bytes under another name cost a manifest.
    let twin = add(&agent, &root, &["--name", "twin"]);
    assert!(twin["bytes_stored"].as_u64().unwrap() < 40_000, "{twin}");

    let mut large = fs::read(root.join("deep/er/large")).unwrap();
    large[3 << 20] ^= 1;
    fs::write(root.join("deep/er/large"), large).unwrap();
    fs::remove_file(root.join("deep/3.bin")).unwrap();
    fs::write(root.join("new"), "n").unwrap();
    let second = add(&agent, &root, &["--name", "flights"]);
    assert_eq!(second["version"], 2);
    assert!(second["bytes_stored"].as_u64().unwrap() < 4 << 20, "{second}");

    let list = agent.cli(&["data", "list", "--json"]).expect(0).json();
    assert_eq!((list[0]["name"].as_str(), list[0]["versions"].as_array().map(Vec::len)), (Some("flights"), Some(2)));
    let diff = agent.cli(&["data", "diff", "flights", "--json"]).expect(0).json();
    let paths = |key: &str| diff[key].as_array().unwrap().iter().map(|f| f["path"].clone()).collect::<Vec<_>>();
    assert_eq!((paths("added"), paths("removed")), (vec!["new".into()], vec!["deep/3.bin".into()]));
    assert_eq!((paths("changed"), &diff["unchanged"]), (vec!["deep/er/large".into()], &51.into()));

    agent.cli(&["data", "checkout", "flights@1", "out"]).expect(0);
    let out = agent.home().path().join("out");
    assert_eq!(fs::read(out.join("deep/3.bin")).unwrap(), noise(3, 4096));
    assert_eq!(fs::read(out.join("deep/er/large")).unwrap(), noise(99, 6 << 20));
    assert!(fs::read(out.join("empty")).unwrap().is_empty());
    agent.cli(&["data", "verify", "flights@1", "--at", "out"]).expect(0);
    fs::write(out.join("deep/3.bin"), "mine").unwrap();
    let found = agent.cli(&["data", "verify", "flights@1", "--at", "out", "--json"]).expect(9).json();
    assert_eq!(found["damaged"][0]["path"], "deep/3.bin");
    agent.cli(&["data", "checkout", "flights@1", "out"]).expect(7);
    assert_eq!(fs::read(out.join("deep/3.bin")).unwrap(), b"mine", "nothing is overwritten unasked");
    let forced = agent.cli(&["data", "checkout", "flights@1", "out", "--force", "--json"]).expect(0).json();
    assert_eq!((&forced["kept"], &forced["files"]), (&52.into(), &53.into()));
    for missing in ["flights@9", "none"] {
        agent.cli(&["data", "show", missing]).expect(4);
    }
    agent.cli(&["audit", "verify"]).expect(0);
}

#[test]
fn damage_in_the_store_is_named_by_file() {
    let agent = Agent::start();
    let root = tree(&agent);
    add(&agent, &root, &["--name", "flights"]);
    assert_eq!(agent.cli(&["data", "verify", "flights", "--json"]).expect(0).json()["ok"], true);
    let packs = agent.home().path().join("data/opsroom/artifacts/.opsroom/data/packs");
    let needle = noise(7, 4096);
    let folders = fs::read_dir(&packs).unwrap().flat_map(|d| fs::read_dir(d.unwrap().path()).unwrap());
    for pack in folders.map(|p| p.unwrap().path()) {
        let mut bytes = fs::read(&pack).unwrap();
        if let Some(at) = bytes.windows(needle.len()).position(|w| w == needle) {
            bytes[at + 100] ^= 1;
            fs::write(&pack, bytes).unwrap();
        }
    }
    let found = agent.cli(&["data", "verify", "flights", "--json"]).expect(9).json();
    assert_eq!(found["damaged"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["damaged"][0]["path"], "deep/7.bin");
    // Neither does a checkout pass damaged bytes on, where no other file of this machine holds them.
    fs::remove_dir_all(&root).unwrap();
    let refused = agent.cli(&["data", "checkout", "flights", "out"]).expect(5);
    assert!(refused.stderr.contains("deep/7.bin"), "{}", refused.stderr);
}

#[test]
fn files_that_misbehave_are_named_and_nothing_is_added() {
    let agent = Agent::start();
    let root = agent.home().path().join("bad");
    let refused = |code: i32, words: &[&str]| {
        let done = agent.cli(&["data", "add", "bad"]).expect(code);
        words.iter().for_each(|w| assert!(done.stderr.contains(w), "{w}: {}", done.stderr));
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(agent.cli(&["data", "list", "--json"]).expect(0).json(), serde_json::json!([]));
    };
    let fresh = || {
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("good"), "g").unwrap();
    };
    fresh();
    symlink(&root, root.join("circle")).unwrap();
    refused(2, &["circle", "in a circle"]);
    fresh();
    symlink("b", root.join("a")).unwrap();
    symlink("a", root.join("b")).unwrap();
    refused(2, &["in a circle"]);
    fresh();
    symlink("nowhere", root.join("dangling")).unwrap();
    refused(2, &["dangling", "leads nowhere"]);
    fresh();
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"no\xffname")), "x").unwrap();
    refused(2, &["no UTF-8"]);
    fresh();
    fs::write(root.join("t.csv"), "a,b\n1,2\n1,2,3\n").unwrap();
    refused(2, &["t.csv line 3", "3 fields", "--no-profile"]);
    fresh();
    rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    refused(2, &["pipe", "neither a file nor a folder"]);
    // Root may read anything.
    if !rustix::process::geteuid().is_root() {
        fresh();
        fs::set_permissions(root.join("good"), fs::Permissions::from_mode(0o0)).unwrap();
        refused(2, &["good", "Permission denied"]);
    }
    fs::create_dir(&root).unwrap();
    refused(2, &["there is no file"]);
    agent.cli(&["data", "add", "nothing"]).expect(4);
    agent.cli(&["data", "add", "/dev/null"]).expect(2);
}

#[test]
fn odd_names_come_back_as_they_were() {
    let agent = Agent::start();
    let root = agent.home().path().join("odd");
    let names = ["with space", "ü#1?.txt", "line\nbreak", "back\\slash", "-dash", "c:", "a,b\"c"];
    fs::create_dir(&root).unwrap();
    names.iter().for_each(|n| fs::write(root.join(n), n).unwrap());
    fs::set_permissions(root.join("c:"), fs::Permissions::from_mode(0o755)).unwrap();
    add(&agent, &root, &[]);
    fs::rename(&root, agent.home().path().join("away")).unwrap();
    agent.cli(&["data", "checkout", "odd", "out"]).expect(0);
    for name in names {
        assert_eq!(fs::read_to_string(agent.home().path().join("out").join(name)).unwrap(), name);
    }
    let mode = fs::metadata(agent.home().path().join("out/c:")).unwrap().permissions().mode();
    assert_eq!(mode & 0o100, 0o100);
    agent.cli(&["data", "add", "away", "--name", "../x"]).expect(2);
    agent.cli(&["data", "add", "away", "--name", "a@b"]).expect(2);
}

#[test]
fn versions_of_a_table_are_compared_in_the_same_bins() {
    let agent = Agent::start();
    let path = agent.home().path().join("rows.csv");
    let write = |shift: f64, extra: &str| {
        let rows: String = (0..2000)
            .map(|i| format!("{},{}{extra}\n", f64::from(i % 100) + shift, ["a", "b"][i as usize % 2]))
            .collect();
        fs::write(&path, format!("x,c{}\n{rows}", if extra.is_empty() { "" } else { ",new" })).unwrap();
    };
    write(0.0, "");
    assert_eq!(add(&agent, &path, &[])["dataset"], "rows");
    write(40.0, ",1");
    add(&agent, &path, &[]);
    write(40.0, ",2");
    add(&agent, &path, &[]);
    let diff =
        |from: &str, to: &str| agent.cli(&["data", "diff", from, to, "--json"]).expect(0).json()["tables"][0].clone();
    let moved = diff("rows@1", "rows@2");
    assert_eq!(moved["added"], serde_json::json!(["new"]));
    let psi = |d: &Value, nth: usize| d["columns"][nth]["psi"].as_f64();
    assert!(psi(&moved, 0).unwrap() > 0.5 && psi(&moved, 1).unwrap() < 0.01, "{moved}");
    let same = diff("rows@2", "rows@3");
    assert!(psi(&same, 0).unwrap() < 1e-9, "{same}");
    assert_eq!(same["columns"][2]["psi"], Value::Null, "no bins in common");
    let profile = agent.cli(&["data", "profile", "rows@1", "--column", "x", "--json"]).expect(0).json();
    let column = &profile["tables"][0]["columns"][0];
    assert_eq!((&column["kind"], &column["counts"]["n"]), (&"integer".into(), &2000.into()));
    agent.cli(&["data", "profile", "rows@1", "--column", "none"]).expect(4);
    let page = agent.cli(&["data", "diff", "rows"]).expect(0).stdout;
    assert!(page.contains("rows v2 -> rows v3") && page.contains("PSI"), "{page}");
}

#[test]
fn runs_that_logged_a_dataset_stand_beside_it() {
    let agent = Agent::start();
    let path = agent.home().path().join("small.csv");
    fs::write(&path, "a,b\n1,2\n").unwrap();
    let digest = add(&agent, &path, &[])["digest"].as_str().unwrap()[7..39].to_owned();
    let client = agent.client();
    let post = |path: &str, body: Value| {
        crate::support::wait(client.mlflow(reqwest::Method::POST, &format!("/api/2.0/mlflow/{path}"), &body)).unwrap()
    };
    let run = post("runs/create", serde_json::json!({"experiment_id": "0", "start_time": 1}));
    let run = run["run"]["info"]["run_id"].clone();
    let input = |name: &str, digest: &str| {
        serde_json::json!({
            "dataset": {"name": name, "digest": digest, "source_type": "local", "source": "x"},
            "tags": [{"key": "mlflow.data.context", "value": "training"}],
        })
    };
    let datasets = [input("anything", &digest), input("elsewhere", "0badc0de")];
    post("runs/log-inputs", serde_json::json!({"run_id": run, "datasets": datasets}));
    // A run under capture was given the file as a version and logged it in its client's words: from then on that
    // digest means the version, wherever it is logged.
    let again = |other: &str, datasets: Vec<Value>| {
        let run = post("runs/create", serde_json::json!({"experiment_id": "0", "start_time": 2, "run_name": other}));
        let id = run["run"]["info"]["run_id"].clone();
        post("runs/log-inputs", serde_json::json!({"run_id": id, "datasets": datasets}));
    };
    let at = path.to_str().unwrap();
    let placed = |mut input: Value, kind: &str, uri: &str| {
        input["dataset"]["source_type"] = kind.into();
        input["dataset"]["source"] = serde_json::json!({"uri": uri}).to_string().into();
        input
    };
    let pinned = placed(input("small", &digest), "opsroom", at);
    again("pinned", vec![pinned, placed(input("frame", "12345678"), "local", &format!("file://{at}"))]);
    again("unpinned", vec![placed(input("frame", "12345678"), "local", "elsewhere/small.csv")]);
    let list = agent.cli(&["data", "list", "--json"]).expect(0).json();
    assert_eq!((&list[0]["name"], &list[0]["logged"][0]["digest"]), (&"elsewhere".into(), &"0badc0de".into()));
    assert_eq!(list.as_array().map(Vec::len), Some(2), "{list}");
    let readers = list[1]["versions"][0]["runs"].as_array().unwrap();
    assert!(list[1]["name"] == "small" && readers.iter().any(|r| r["run"] == run), "{list}");
    let names: Vec<&str> = readers.iter().filter_map(|r| r["name"].as_str()).collect();
    assert_eq!(names.len(), 3, "each once: {names:?}");
    assert!(names.contains(&"pinned") && names.contains(&"unpinned"), "{names:?}");
    let shown = agent.cli(&["data", "show", "small@1"]).expect(0).stdout;
    assert!(shown.contains("training") && shown.contains("read by"), "{shown}");
}

/// Stores the bytes of a version of one file, and answers with the command that makes it.
pub async fn a_version(ctx: &Ctx, dataset: &str) -> Command {
    let blobs = ctx.artifacts.blobs();
    let mut packer = Packer::default();
    packer.bytes_mut().extend_from_slice(b"of one file");
    let digest = Digest::of(b"of one file");
    let offset = packer.close_chunk(digest);
    let (pack, name) = packer.finish();
    datasets::put_pack(&ctx.db, blobs, Bytes::from(pack)).await.unwrap();
    let chunks = vec![Chunk { digest, len: 11, pack: 0, offset }];
    let file = FileEntry { path: "f".to_owned(), size: 11, digest, executable: false, chunks };
    let manifest = Manifest { packs: vec![name], files: vec![file] };
    let stored = datasets::put_manifest(&ctx.db, blobs, Bytes::from(manifest.encode().unwrap())).await.unwrap();
    let doc = VersionDoc { digest: manifest.tree_digest(), manifest: stored.name, ..VersionDoc::default() };
    Command::Datasets(datasets::Command::AddVersion { dataset: dataset.to_owned(), doc })
}

#[tokio::test]
async fn a_manifest_names_only_what_is_stored() {
    on_each_engine(async |place| {
        let ctx = place.ctx().await;
        let blobs = ctx.artifacts.blobs();
        let mut packer = Packer::default();
        packer.bytes_mut().extend_from_slice(b"abc");
        let offset = packer.close_chunk(Digest::of(b"abc"));
        let (pack, name) = packer.finish();
        let chunk = |digest| Chunk { digest, len: 3, pack: 0, offset };
        let manifest = |digest| Manifest {
            packs: vec![name],
            files: vec![FileEntry {
                path: "f".to_owned(),
                size: 3,
                digest,
                executable: false,
                chunks: vec![chunk(digest)],
            }],
        };
        let put = async |m: &Manifest| datasets::put_manifest(&ctx.db, blobs, Bytes::from(m.encode().unwrap())).await;
        assert!(put(&manifest(Digest::of(b"abc"))).await.is_err(), "the pack is not here yet");
        let mut spoilt = pack.clone();
        spoilt[0] ^= 1;
        assert!(datasets::put_pack(&ctx.db, blobs, Bytes::from(spoilt)).await.is_err());
        let stored = datasets::put_pack(&ctx.db, blobs, Bytes::from(pack.clone())).await.unwrap();
        assert!(!stored.known);
        assert!(datasets::put_pack(&ctx.db, blobs, Bytes::from(pack)).await.unwrap().known);
        assert!(put(&manifest(Digest::of(b"xyz"))).await.is_err(), "no such chunk");
        let good = manifest(Digest::of(b"abc"));
        let stored = put(&good).await.unwrap();
        let located = datasets::locate(ctx.db.read(), &[Digest::of(b"xyz"), Digest::of(b"abc")]).await.unwrap();
        assert_eq!((located.packs, located.chunks), (vec![name], vec![(1, 0, 0)]));
        let doc =
            |digest: &str| VersionDoc { digest: digest.to_owned(), manifest: stored.name, ..VersionDoc::default() };
        let command = |digest: &str| {
            Envelope::new(
                Command::Datasets(datasets::Command::AddVersion { dataset: "d".to_owned(), doc: doc(digest) }),
                "",
            )
        };
        assert!(perform(&ctx, &kim(), command("blake3:00")).await.is_err());
        let made = perform(&ctx, &kim(), command(&good.tree_digest())).await.unwrap();
        assert_eq!((made.version, made.to.as_str()), (Some(1), "v1"));
        let again = perform(&ctx, &kim(), command(&good.tree_digest())).await.unwrap();
        assert_eq!((again.version, again.to.as_str()), (Some(1), "unchanged"));
        let version = datasets::version(ctx.db.read(), "d", 1).await.unwrap();
        assert_eq!((version.doc.files, version.doc.bytes, version.doc.user.as_str()), (1, 3, "kim"));
        assert_eq!(datasets::read_manifest(blobs, &version.doc.manifest).await.unwrap(), good);
        let view = datasets::datasets(ctx.db.read(), &ctx.tracking).await.unwrap();
        assert_eq!((view.len(), view[0].versions.len()), (1, 1));
    })
    .await;
}

/// Starts an addition and ends it with a signal once packs have arrived; answers how many bytes lie in the store then.
fn interrupted(agent: &Agent, path: &Path, name: &str, signal: rustix::process::Signal) -> u64 {
    let packs = agent.home().path().join("data/opsroom/artifacts/.opsroom/data/packs");
    let before = stored(&packs);
    let mut command = agent.home().command(&["data", "add", path.to_str().unwrap(), "--name", name]);
    command.env("OPSROOM_AGENT", format!("unix:{}", agent.socket())).stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    while stored(&packs) == before && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
    assert!(!child.wait().unwrap().success(), "it was over before it could be interrupted");
    // What had arrived as a whole is still put away.
    let mut had = 0;
    while had != stored(&packs) {
        had = stored(&packs);
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    had - before
}

fn stored(packs: &Path) -> u64 {
    let folders = fs::read_dir(packs).into_iter().flatten().flatten();
    let files = folders.flat_map(|f| fs::read_dir(f.path()).into_iter().flatten().flatten());
    // Uploads under way bear a number behind a '#'.
    let whole = files.filter(|f| !f.file_name().to_string_lossy().contains('#'));
    whole.filter_map(|f| f.metadata().ok()).map(|m| m.len()).sum()
}

#[test]
fn an_interrupted_addition_goes_on_where_it_was() {
    use rustix::process::Signal;
    let agent = Agent::start();
    for (nth, signal) in [Signal::INT, Signal::KILL].into_iter().enumerate() {
        let root = agent.home().path().join(format!("tree{nth}"));
        fs::create_dir(&root).unwrap();
        for i in 0..10_u8 {
            fs::write(root.join(format!("{i}.bin")), noise(100 * u8::try_from(nth).unwrap() + i, 12 << 20)).unwrap();
        }
        let name = format!("cut{nth}");
        let had = interrupted(&agent, &root, &name, signal);
        assert!(had > 15 << 20, "{had} bytes had arrived");
        agent.cli(&["data", "show", &name]).expect(4);
        let rest = add(&agent, &root, &["--name", &name]);
        let total: u64 = 10 * (12 << 20);
        let sent = rest["bytes_stored"].as_u64().unwrap();
        assert!(sent < total - had + (2 << 20), "{sent} of {total} bytes were sent, {had} were there");
        agent.cli(&["data", "verify", &name]).expect(0);
    }
}

#[test]
fn what_this_machine_has_is_linked_when_that_is_asked_for() {
    use std::os::unix::fs::MetadataExt;
    let agent = Agent::start();
    let root = tree(&agent);
    // Digests of what has just been written are not trusted for a moment.
    std::thread::sleep(std::time::Duration::from_millis(150));
    add(&agent, &root, &["--name", "flights", "--no-profile"]);
    let out = agent.home().path().join("out");
    let done = agent.cli(&["data", "checkout", "flights", "out", "--hard-link", "--json"]).expect(0).json();
    assert_eq!((&done["linked"], &done["written"]), (&53.into(), &0.into()));
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(&root.join("deep/7.bin")), inode(&out.join("deep/7.bin")));
    // Unasked, what is written into the one never shows in the other.
    agent.cli(&["data", "checkout", "flights", "apart"]).expect(0);
    fs::write(agent.home().path().join("apart/deep/7.bin"), "mine").unwrap();
    assert_eq!(fs::read(root.join("deep/7.bin")).unwrap(), noise(7, 4096));
    // A holder that changed since is none.
    fs::write(root.join("deep/8.bin"), "changed").unwrap();
    agent.cli(&["data", "checkout", "flights", "third", "--hard-link"]).expect(0);
    assert_eq!(fs::read(agent.home().path().join("third/deep/8.bin")).unwrap(), noise(8, 4096));
}

#[test]
fn data_that_is_written_while_it_is_added_makes_no_version() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let agent = Agent::start();
    let root = agent.home().path().join("moving");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("large"), noise(1, 24 << 20)).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            use std::io::Write;
            let mut file = fs::OpenOptions::new().append(true).open(root.join("large")).unwrap();
            while !stop.load(Ordering::Relaxed) {
                file.write_all(b"more").unwrap();
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let refused = agent.cli(&["data", "add", "moving"]);
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        let refused = refused.expect(7);
        assert!(refused.stderr.contains("large changed while it was added"), "{}", refused.stderr);
    });
    assert_eq!(agent.cli(&["data", "list", "--json"]).expect(0).json(), serde_json::json!([]));
    add(&agent, &root, &[]);
}
