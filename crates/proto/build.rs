//! Makes server traits and messages from two sources: Temporal's Cloud Ops API, whose `.proto` files are in `protos/vendor`, and the
//! services that `tcld` calls, written here from their field numbers (`protos/tcld`). No protoc, no cargo and no network is needed.
//! The whole set of descriptors, with its HTTP annotations, is kept for the JSON paths and for reflection.

use prost::Message as _;
use std::error::Error;
use std::path::PathBuf;

/// The files whose services are served.
const CLOUD: &str = "temporal/api/cloud/cloudservice/v1/service.proto";
const TCLD: &[&str] = &["tcld/auth.proto", "tcld/namespace.proto", "tcld/request.proto", "tcld/account.proto"];
/// Not served; its descriptors say where a call names its namespace.
const WORKFLOW: &str = "temporal/api/workflowservice/v1/service.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=protos");
    let includes = ["protos", "protos/vendor"];
    let out = PathBuf::from(std::env::var("OUT_DIR")?);

    let mut compiler = protox::Compiler::new(includes)?;
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

    let mut workflow = protox::Compiler::new(includes)?;
    workflow.include_imports(true).include_source_info(false);
    workflow.open_file(WORKFLOW)?;
    std::fs::write(out.join("workflow.bin"), workflow.encode_file_descriptor_set())?;
    Ok(())
}
