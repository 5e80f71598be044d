//! Builds the console in `web/` and writes the table of its files, which `src/rest/console.rs` takes into the program. Where Node.js
//! is missing the table is empty and the console's page says so. It must not become a way to fetch anything but what
//! `web/package-lock.json` pins.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "cargo reads what a build script says")]

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What the console is built from; nothing else makes it be built again.
const SOURCES: [&str; 6] = ["src", "index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts"];
/// `off` leaves the console out, `required` makes an error of a console that cannot be built.
const WANTED: &str = "COUNTERSIGN_CONSOLE_BUILD";
/// The oldest Node.js that Vite runs on.
const NODE_MIN: (u32, u32) = (20, 19);

fn main() -> ExitCode {
    match make() {
        Ok(()) => ExitCode::SUCCESS,
        Err(said) => {
            eprintln!("{said}");
            ExitCode::FAILURE
        }
    }
}

fn make() -> Result<(), String> {
    let manifest = env::var("CARGO_MANIFEST_DIR").map_err(|e| e.to_string())?;
    let out = PathBuf::from(env::var("OUT_DIR").map_err(|e| e.to_string())?);
    let web = Path::new(&manifest).join("../../web");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", web.join(source).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={WANTED}");
    let wanted = env::var(WANTED).unwrap_or_default();
    let dist = out.join("console");
    let files = if wanted == "off" {
        Vec::new()
    } else {
        match install(&web) {
            Ok(()) => {
                build(&web, &dist)?;
                listed(&dist, "")?
            }
            Err(reason) if wanted == "required" => return Err(reason),
            Err(reason) => {
                println!("cargo::warning=the console is left out: {reason}");
                Vec::new()
            }
        }
    };
    let mut rows = String::new();
    for name in &files {
        let small = compressed(&dist, name)?.map_or("None".to_owned(), |path| format!("Some(include_bytes!({path:?}))"));
        rows.push_str(&format!("    ({name:?}, include_bytes!({:?}), {small}),\n", dist.join(name)));
    }
    let table = format!(
        "/// A path below `/console/`, the file's bytes, and the same by gzip where that is smaller.\n\
         type ConsoleFile = (&'static str, &'static [u8], Option<&'static [u8]>);\n\
         /// Every file.\n\
         const FILES: &[ConsoleFile] = &[\n{rows}];\n"
    );
    fs::write(out.join("console.rs"), table).map_err(|e| e.to_string())
}

/// Gets what the lock file pins, once. Scripts of packages are not run.
fn install(web: &Path) -> Result<(), String> {
    let modified = |path: PathBuf| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let (lock, got) = (modified(web.join("package-lock.json")), modified(web.join("node_modules/.package-lock.json")));
    let node = run(Command::new("node").arg("--version"), "Node.js 20.19 or newer is needed")?;
    let mut numbers = node.trim().trim_start_matches('v').split('.').map(|part| part.parse().unwrap_or(0));
    if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < NODE_MIN {
        return Err(format!("Node.js 20.19 or newer is needed (found: {})", node.trim()));
    }
    if got.is_some() && got >= lock {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(web);
    run(&mut npm, "npm could not get the packages of web/package-lock.json").map(drop)
}

/// A source that does not compile is an error, like one in Rust.
fn build(web: &Path, dist: &Path) -> Result<(), String> {
    // By name and without npm, which would look for a newer npm.
    let tool = |script: &str| {
        let mut node = Command::new("node");
        node.arg(web.join("node_modules").join(script)).current_dir(web);
        node
    };
    run(tool("typescript/bin/tsc").arg("--noEmit"), "the console's types do not hold")?;
    let mut vite = tool("vite/bin/vite.js");
    run(vite.args(["build", "--logLevel", "warn", "--emptyOutDir", "--outDir"]).arg(dist), "the console cannot be built").map(drop)
}

/// Runs to the end and gives what it printed; what it said is part of the error.
fn run(command: &mut Command, failed: &str) -> Result<String, String> {
    let output = command.output().map_err(|e| format!("{failed} ({}: {e})", command.get_program().display()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()).join("\n");
    Err(format!("{failed}: {said}"))
}

/// Writes a file's gzip form beside the folder, and gives its path; nothing where that saves less than a tenth.
fn compressed(dist: &Path, name: &str) -> Result<Option<PathBuf>, String> {
    let plain = fs::read(dist.join(name)).map_err(|e| e.to_string())?;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&plain).map_err(|e| e.to_string())?;
    let small = encoder.finish().map_err(|e| e.to_string())?;
    if small.len() + plain.len() / 10 > plain.len() {
        return Ok(None);
    }
    // Not inside the folder: everything there is a file of the console.
    let path = dist.with_extension("gz").join(format!("{}.gz", name.replace('/', "_")));
    fs::create_dir_all(path.parent().unwrap_or(dist)).map_err(|e| e.to_string())?;
    fs::write(&path, small).map_err(|e| e.to_string())?;
    Ok(Some(path))
}

/// Every file below a folder, by its path with `/` between the parts, in order.
fn listed(folder: &Path, below: &str) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.join(below)).map_err(|e| e.to_string())? {
        let entry = entry.map_err(|e| e.to_string())?;
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            names.extend(listed(folder, &format!("{name}/"))?);
        } else {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
