// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! Links Apple's prebuilt MLX and compiles mlx-c against it.
//!
//! 1. `mlx()` finds MLX: `MLX_DIR`, or a wheel that pip fetches with a pinned hash.
//! 2. `mlx_c()` compiles mlx-c from the sources inside the published mlx-sys crate.
//! 3. `openblas()` (Linux) puts OpenBLAS in the place of the wheel's reference BLAS.
//! 4. What a program needs at run time lies flat in `<target>/mlx-runtime/<triple>`; packaging copies it from there.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{exit, Command},
};

#[path = "mlx_version.rs"]
mod mlx_version;
use mlx_version::{check_version, MLX_VERSION};

/// Ends the build with one line that says what to do.
fn fail(message: impl std::fmt::Display) -> ! {
    println!("cargo::error={message}");
    exit(1)
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(format!("cargo did not set {name}")))
}

/// Which prebuilt MLX serves a target.
struct Platform {
    package: &'static str,
    /// pip's names for the platform, the preferred one first.
    tags: &'static [&'static str],
    /// pip's name for the platform of the OpenBLAS wheel: on Linux MLX comes with the reference BLAS, and on Windows with an
    /// OpenBLAS that lacks its license.
    openblas: Option<&'static str>,
}

fn platform() -> Platform {
    let os = variable("CARGO_CFG_TARGET_OS");
    let arch = variable("CARGO_CFG_TARGET_ARCH");
    let environment = variable("CARGO_CFG_TARGET_ENV");
    let cuda = env::var_os("CARGO_FEATURE_CUDA").is_some()
        || env::var("NODE_MLX_BACKEND").is_ok_and(|backend| backend == "cuda");
    match (os.as_str(), arch.as_str(), environment.as_str(), cuda) {
        ("linux", "x86_64", "gnu", false) => {
            Platform { package: "mlx-cpu", tags: &["manylinux_2_35_x86_64"], openblas: Some("manylinux_2_28_x86_64") }
        }
        ("linux", "aarch64", "gnu", false) => {
            Platform { package: "mlx-cpu", tags: &["manylinux_2_35_aarch64"], openblas: Some("manylinux_2_28_aarch64") }
        }
        ("linux", "x86_64", "gnu", true) => Platform {
            package: "mlx-cuda-13",
            tags: &["manylinux_2_35_x86_64"],
            openblas: Some("manylinux_2_28_x86_64"),
        },
        ("linux", "aarch64", "gnu", true) => Platform {
            package: "mlx-cuda-13",
            tags: &["manylinux_2_35_aarch64"],
            openblas: Some("manylinux_2_28_aarch64"),
        },
        // The oldest system's build runs on all later ones.
        ("macos", "aarch64", _, false) => {
            Platform { package: "mlx-metal", tags: &["macosx_14_0_arm64"], openblas: None }
        }
        // It has the ABI of Microsoft's compiler. For GNU's, a build can be checked, but not linked.
        ("windows", "x86_64", _, false) => {
            Platform { package: "mlx-cpu", tags: &["win_amd64"], openblas: Some("win_amd64") }
        }
        _ => fail(format!(
            "there is no prebuilt MLX for {arch}-{os}-{environment}{}; set MLX_DIR to a folder that holds MLX \
             {MLX_VERSION} as include/ and lib/",
            if cuda { " with CUDA" } else { "" }
        )),
    }
}

/// An MLX to build against.
struct Mlx {
    include: PathBuf,
    /// Shared libraries and data files that go beside the program.
    runtime: Vec<PathBuf>,
    /// The wheel's BLAS and LAPACK, to be replaced by OpenBLAS.
    reference_blas: Vec<PathBuf>,
    openblas: Option<PathBuf>,
    /// Packages whose libraries travel, with their license texts.
    licenses: Vec<(&'static str, PathBuf)>,
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default();
    files.retain(|path| path.is_file());
    files.sort();
    files
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The shared libraries and the Metal library of an MLX. On Windows it has DLLs, and `lib` has what to link them with.
fn runtime_files(root: &Path) -> Vec<PathBuf> {
    let mut found = files(&root.join("lib"));
    found.retain(|path| {
        let name = name(path);
        name.contains(".so") || [".dylib", ".metallib", ".lib"].iter().any(|end| name.ends_with(end))
    });
    found.extend(files(root).into_iter().filter(|path| name(path).ends_with(".dll")));
    found
}

fn mlx(target: &Path) -> Mlx {
    if let Some(root) = env::var_os("MLX_DIR").map(PathBuf::from) {
        let mut runtime = runtime_files(&root);
        if !root.join("include/mlx/mlx.h").is_file() || runtime.is_empty() {
            fail(format!("MLX_DIR={} holds no include/mlx/mlx.h and lib/libmlx", root.display()));
        }
        // An installed wheel has its dependencies beside it.
        for package in ["mlx_cpu", "mlx_cuda_13", "mlx_cuda_12"] {
            runtime.extend(files(&root.join(format!("../{package}.libs"))));
        }
        return Mlx {
            include: root.join("include"),
            runtime,
            reference_blas: vec![],
            openblas: None,
            licenses: vec![],
        };
    }
    let platform = platform();
    let wheel = fetch(target, platform.package, platform.tags);
    let mut runtime = runtime_files(&wheel.join("mlx"));
    // Only the build for macOS 26 loads it.
    runtime.retain(|path| name(path) != "libjaccl.dylib");
    // auditwheel lays a wheel's own dependencies into <package>.libs.
    let (reference_blas, extra) = files(&wheel.join(format!("{}.libs", platform.package.replace('-', "_"))))
        .into_iter()
        .partition(|path| name(path).starts_with("libblas") || name(path).starts_with("liblapack"));
    let mut licenses: Vec<_> = license(&wheel).map(|text| ("mlx", text)).into_iter().collect();
    let openblas = platform.openblas.and_then(|tag| {
        let wheel = fetch(target, "scipy-openblas32", &[tag]);
        licenses.extend(license(&wheel).map(|text| ("openblas", text)));
        let library = wheel.join("scipy_openblas32/lib/libscipy_openblas.so");
        library.is_file().then_some(library)
    });
    // gfortran serves the reference LAPACK only.
    let fortran = |path: &PathBuf| name(path).starts_with("libgfortran") || name(path).starts_with("libquadmath");
    runtime.extend(Vec::into_iter(extra).filter(|path| openblas.is_none() || !fortran(path)));
    runtime.extend(openblas.clone());
    Mlx { include: wheel.join("mlx/include"), runtime, reference_blas, openblas, licenses }
}

/// A wheel's license text.
fn license(wheel: &Path) -> Option<PathBuf> {
    let info = fs::read_dir(wheel)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| name(path).ends_with(".dist-info"))?;
    files(&info.join("licenses")).into_iter().next()
}

/// The unpacked wheel of a package in `<target>/wheels`, fetched by pip if it is not there yet.
fn fetch(target: &Path, package: &str, tags: &[&str]) -> PathBuf {
    let lock = fs::read_to_string("wheels.lock").unwrap_or_else(|error| fail(format!("wheels.lock: {error}")));
    // A requirement and its hashes, up to the next line that is not continued.
    let requirement: Vec<&str> = lock
        .lines()
        .skip_while(|line| !line.starts_with(&format!("{package}==")))
        .scan(true, |more, line| std::mem::replace(more, line.ends_with('\\')).then_some(line))
        .collect();
    let version = requirement
        .first()
        .and_then(|line| line.split("==").nth(1))
        .map(|rest| rest.trim_end_matches(['\\', ' ']))
        .unwrap_or_else(|| fail(format!("wheels.lock does not name {package}")));
    let unpacked = target.join("wheels").join(format!("{package}-{version}-{}", tags[0]));
    if unpacked.join(".complete").is_file() {
        return unpacked;
    }
    let download = target.join("wheels/download");
    let scratch = target.join("wheels").join(format!("{package}.{}", std::process::id()));
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&download)
        .and_then(|()| fs::create_dir_all(&scratch))
        .unwrap_or_else(|error| fail(format!("{}: {error}", download.display())));
    let requirements = scratch.join("requirements.txt");
    fs::write(&requirements, requirement.join("\n")).unwrap_or_else(|error| fail(error));

    let python = env::var("PYTHON").unwrap_or_else(|_| if cfg!(windows) { "python" } else { "python3" }.to_owned());
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary=:all:", "--require-hashes", "--dest"])
        .arg(&scratch)
        .arg("--requirement")
        .arg(&requirements);
    for tag in tags {
        pip.args(["--platform", tag]);
    }
    let advice = format!(
        "MLX comes as the Python wheel {package}=={version}; install Python 3 with pip (or set PYTHON), check the \
         network, or set MLX_DIR to an MLX {MLX_VERSION} that you have"
    );
    match pip.output() {
        Err(error) => fail(format!("{python}: {error}. {advice}")),
        Ok(output) if !output.status.success() => {
            let reason = String::from_utf8_lossy(&output.stderr);
            let wrong_hash = reason.contains("DO NOT MATCH THE HASHES");
            let last = reason.lines().rev().find(|line| line.contains("ERROR")).unwrap_or("pip failed");
            fail(if wrong_hash {
                format!(
                    "the wheel {package}=={version} does not have the SHA-256 in mlx-sys/wheels.lock; it was not used"
                )
            } else {
                format!("{last}. {advice}")
            })
        }
        Ok(_) => {}
    }
    let wheel = files(&scratch)
        .into_iter()
        .find(|path| name(path).ends_with(".whl"))
        .unwrap_or_else(|| fail(format!("pip fetched no wheel of {package}. {advice}")));
    let unzipped = scratch.join("unzipped");
    let status = Command::new(&python).args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&unzipped).status();
    if !status.is_ok_and(|status| status.success()) {
        fail(format!("{} could not be unpacked", wheel.display()));
    }
    let _ = fs::write(unzipped.join(".complete"), "");
    let _ = fs::remove_dir_all(&unpacked);
    fs::rename(&unzipped, &unpacked).unwrap_or_else(|error| fail(format!("{}: {error}", unpacked.display())));
    let _ = fs::remove_dir_all(&scratch);
    unpacked
}

/// Where cargo keeps the mlx-c sources: inside the published mlx-sys crate.
fn mlx_c_sources() -> PathBuf {
    let output = Command::new(variable("CARGO"))
        .args(["metadata", "--locked", "--format-version=1", "--manifest-path", "upstream/Cargo.toml"])
        .output()
        .unwrap_or_else(|error| fail(format!("cargo metadata: {error}")));
    if !output.status.success() {
        fail(format!(
            "cargo could not fetch mlx-sys 0.7.0, which holds the sources of mlx-c: {}",
            String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default()
        ));
    }
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| fail(format!("cargo metadata: {error}")));
    metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == "mlx-sys")
        .and_then(|package| Path::new(package["manifest_path"].as_str()?).parent())
        .unwrap_or_else(|| fail("cargo metadata does not list mlx-sys"))
        .join("src/mlx-c")
}

fn mlx_c(include: &Path) {
    let sources = mlx_c_sources();
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++20")
        .opt_level(2)
        .warnings(false)
        .include(&sources)
        .include(include)
        .files(files(&sources.join("mlx/c")).iter().filter(|path| path.extension().is_some_and(|e| e == "cpp")));
    if variable("CARGO_CFG_TARGET_ARCH") != "aarch64" {
        build.file("native/half.cpp");
    }
    for file in ["graph", "in_place", "kernel", "operation"] {
        build.file(format!("native/{file}.cpp"));
    }
    if variable("CARGO_CFG_TARGET_OS") == "linux" {
        for file in ["allocator", "cuda", "jit", "nvrtc"] {
            build.file(format!("native/{file}.cpp"));
        }
    }
    if variable("CARGO_CFG_TARGET_ENV") == "msvc" {
        // Exceptions, as MLX throws them, and more sections in an object file than is usual.
        build.flag("/EHsc").flag("/bigobj");
    }
    let mut probe = cc::Build::new();
    probe.cpp(true).std("c++20").cargo_metadata(false).cargo_warnings(false).warnings(false);
    if probe.file("native/has_format.cpp").try_compile("has_format").is_err() {
        // mlx-c includes the header through MLX's own, or not at all.
        build.include("native/compat").flag("-include").flag("format");
    }
    if let Err(error) = build.try_compile("mlxc") {
        fail(format!("mlx-c could not be compiled (a C++20 compiler is needed): {error}"));
    }
}

/// Builds a stand-in for each of the wheel's BLAS libraries, under the wheel's own file name, into `runtime`.
fn openblas(mlx: &Mlx, runtime: &Path) {
    let Some(openblas) = &mlx.openblas else { return };
    let folder = openblas.parent().unwrap_or(Path::new("."));
    for library in &mlx.reference_blas {
        let soname = name(library);
        let kind = if soname.starts_with("libblas") { "-DBLAS" } else { "-DLAPACK" };
        let mut command = cc::Build::new().get_compiler().to_command();
        command
            .args(["-shared", "-fPIC", "-O2", kind, "native/blas.c", "-lscipy_openblas"])
            .arg(format!("-L{}", folder.display()))
            .arg(format!("-Wl,-soname,{soname},-rpath,$ORIGIN"))
            .arg("-o")
            .arg(runtime.join(&soname));
        if !command.status().is_ok_and(|status| status.success()) {
            fail(format!("the stand-in for {soname} could not be linked"));
        }
    }
}

fn main() {
    for path in ["build.rs", "mlx_version.rs", "wheels.lock", "native", "upstream/Cargo.lock"] {
        println!("cargo::rerun-if-changed={path}");
    }
    for variable in ["MLX_DIR", "NODE_MLX_BACKEND", "PYTHON"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let out = PathBuf::from(variable("OUT_DIR"));
    // <target>[/<triple>]/<profile>/build/<package>/out
    let target = out.ancestors().skip(4).find(|path| name(path) != variable("TARGET")).unwrap_or(&out).to_owned();
    let mlx = mlx(&target);
    check_version(&mlx.include).unwrap_or_else(|message| fail(message));
    mlx_c(&mlx.include);

    // cargo lets programs that it runs search OUT_DIR; packaging takes the same files from a path that stays.
    let libraries = out.join("runtime");
    let published = target.join("mlx-runtime").join(variable("TARGET"));
    for folder in [&libraries, &published] {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).unwrap_or_else(|error| fail(format!("{}: {error}", folder.display())));
    }
    openblas(&mlx, &libraries);
    for file in &mlx.runtime {
        link(file, &libraries);
    }
    for (package, text) in &mlx.licenses {
        let to = libraries.join(format!("LICENSE-{package}.txt"));
        fs::copy(text, &to).unwrap_or_else(|error| fail(format!("{}: {error}", to.display())));
    }
    for file in files(&libraries).iter().filter(|path| path.extension().is_none_or(|end| end != "lib")) {
        link(file, &published);
    }
    println!("cargo::rustc-link-search=native={}", libraries.display());
    println!("cargo::rustc-link-lib=dylib=mlx");
    println!("cargo::rustc-check-cfg=cfg(openblas)");
    let on_windows = libraries.join("libopenblas.lib").is_file().then_some("libopenblas");
    if let Some(library) = mlx.openblas.map(|_| "scipy_openblas").or(on_windows) {
        println!("cargo::rustc-cfg=openblas");
        println!("cargo::rustc-link-lib=dylib={library}");
    }
}

/// Lays a file into a folder, without a second copy where the file system allows it.
fn link(file: &Path, folder: &Path) {
    let to = folder.join(name(file));
    if fs::hard_link(file, &to).is_err() {
        fs::copy(file, &to).unwrap_or_else(|error| fail(format!("{}: {error}", to.display())));
    }
}
