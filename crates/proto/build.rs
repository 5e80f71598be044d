//! Makes server traits and messages from two sources: Temporal's Cloud Ops API, whose `.proto` files lie in the crate
//! `temporalio-protos`, and the services that `tcld` calls, written here from their field numbers (`protos/`). No protoc is needed.
//! The whole set of descriptors, with its HTTP annotations, is kept for the JSON paths and for reflection.

use prost::Message as _;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The files whose services are served.
const CLOUD: &str = "temporal/api/cloud/cloudservice/v1/service.proto";
const TCLD: &[&str] = &["tcld/auth.proto", "tcld/namespace.proto", "tcld/request.proto", "tcld/account.proto"];
/// Not served; its descriptors say where a call names its namespace.
const WORKFLOW: &str = "temporal/api/workflowservice/v1/service.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=protos");
    let theirs = temporal_protos()?;
    let includes = [PathBuf::from("protos"), theirs.join("api_cloud_upstream"), theirs.join("api_upstream"), theirs.clone()];
    let out = PathBuf::from(std::env::var("OUT_DIR")?);

    let mut compiler = protox::Compiler::new(&includes)?;
    compiler.include_imports(true).include_source_info(false);
    compiler.open_file(CLOUD)?;
    for file in TCLD {
        compiler.open_file(file)?;
    }
    // prost's own descriptor types drop the HTTP annotations; the encoded form keeps them.
    std::fs::write(out.join("services.bin"), compiler.encode_file_descriptor_set())?;
    let set = tonic_prost_build::FileDescriptorSet::decode(compiler.encode_file_descriptor_set().as_slice())?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_server(true)
        .generate_default_stubs(true)
        .emit_rerun_if_changed(false)
        .include_file("services.rs")
        .compile_fds(set)?;

    let mut workflow = protox::Compiler::new(&includes)?;
    workflow.include_imports(true).include_source_info(false);
    workflow.open_file(WORKFLOW)?;
    std::fs::write(out.join("workflow.bin"), workflow.encode_file_descriptor_set())?;
    Ok(())
}

/// The folder `protos` of the package `temporalio-protos`, as cargo knows it.
fn temporal_protos() -> Result<PathBuf, Box<dyn Error>> {
    let cargo = std::env::var_os("CARGO").ok_or("cargo sets CARGO for build scripts")?;
    let manifest = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("Cargo.toml");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform"])
        .arg(std::env::var("HOST")?)
        .arg("--manifest-path")
        .arg(manifest)
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let document: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let package = document["packages"]
        .as_array()
        .and_then(|packages| packages.iter().find(|package| package["name"] == "temporalio-protos"))
        .ok_or("temporalio-protos is among the dependencies")?;
    let manifest = package["manifest_path"].as_str().ok_or("a package has a manifest")?;
    let folder = Path::new(manifest).parent().ok_or("a manifest lies in a folder")?.join("protos");
    if folder.is_dir() { Ok(folder) } else { Err("temporalio-protos brings its .proto files".into()) }
}
