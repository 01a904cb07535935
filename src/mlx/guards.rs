// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

//! mlx-sys changes internals of MLX, but only of the version that it supports.

use std::{fs, path::PathBuf};

#[path = "../../mlx-sys/mlx_version.rs"]
mod mlx_version;

use mlx_version::{MLX_VERSION, check_version};

/// A folder that is deleted when the test ends.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An include folder whose version.h has this text.
fn headers(name: &str, text: &str) -> Folder {
    let folder = std::env::temp_dir().join(format!("node-mlx-headers-{name}-{}", std::process::id()));
    fs::create_dir_all(folder.join("mlx")).unwrap();
    fs::write(folder.join("mlx/version.h"), text).unwrap();
    Folder(folder)
}

fn defines(major: u32, minor: u32, patch: u32) -> String {
    format!(
        "#pragma once\n#define MLX_VERSION_MAJOR {major}\n#define MLX_VERSION_MINOR {minor}\n\
         #define MLX_VERSION_PATCH {patch}\n#define MLX_VERSION_NUMERIC \\\n  (100000 * MLX_VERSION_MAJOR)\n"
    )
}

#[test]
fn the_build_takes_one_version_of_mlx() {
    assert_eq!(super::version(), MLX_VERSION);
    assert_eq!(check_version(&headers("same", &defines(0, 32, 2)).0), Ok(()));
    for (major, minor, patch) in [(0, 32, 1), (0, 32, 20), (0, 31, 2), (1, 32, 2)] {
        let folder = headers("other", &defines(major, minor, patch));
        assert_eq!(
            check_version(&folder.0).unwrap_err(),
            format!(
                "{} belongs to MLX {major}.{minor}.{patch}, but node-mlx depends on internals of MLX \
                 0.32.2; set MLX_DIR to a folder with MLX 0.32.2, or unset it to download that version",
                folder.0.join("mlx/version.h").display()
            )
        );
    }
}

#[test]
fn the_build_takes_no_mlx_without_a_version() {
    let folder = headers("none", "#define MLX_VERSION_MAJOR 0\n#define MLX_VERSION_MINOR 32\n");
    let message = check_version(&folder.0).unwrap_err();
    assert!(message.ends_with("version.h does not define MLX_VERSION_MAJOR, _MINOR and _PATCH"), "{message}");
    let missing = folder.0.join("mlx").join("mlx/version.h");
    let message = check_version(&folder.0.join("mlx")).unwrap_err();
    assert!(message.starts_with(&format!("{}: ", missing.display())), "{message}");
}

#[cfg(target_os = "linux")]
mod at_run_time {
    use std::{
        ffi::{CString, c_char, c_void},
        fs,
        process::Command,
        ptr::NonNull,
    };

    unsafe extern "C" {
        /// `mlx::core::version`, a function of libmlx.
        #[link_name = "_ZN3mlx4core7versionEv"]
        fn function_of_libmlx() -> *const c_char;
    }

    #[test]
    fn another_version_is_left_alone() {
        for version in [c"0.32.1", c"0.32.20", c"0.32", c"0.31.2", c"0.32.2.dev20261126+0123abc", c""] {
            assert!(!mlx_sys::check_allocations_of(version), "{version:?}");
            assert!(!mlx_sys::forget_cuda_error_of(version), "{version:?}");
        }
        let own = CString::new(crate::mlx::version()).unwrap();
        assert!(mlx_sys::check_allocations_of(&own));
        assert!(mlx_sys::forget_cuda_error_of(&own) || !crate::mlx::is_cuda());
        // A second call changes nothing.
        assert!(mlx_sys::check_allocations_of(&own));
        assert!(!mlx_sys::check_allocations_of(c"0.32.1"));
    }

    #[test]
    fn a_table_of_other_functions_is_left_alone() {
        let (theirs, ours) = (function_of_libmlx as *mut c_void, defined_here as *mut c_void);
        let mut table = [theirs; 9];
        assert!(!mlx_sys::is_allocator_table(&table), "offset");
        table[0] = std::ptr::null_mut();
        assert!(mlx_sys::is_allocator_table(&table));
        for slot in 1..table.len() {
            for other in [ours, std::ptr::null_mut(), std::ptr::dangling_mut()] {
                let mut table = table;
                table[slot] = other;
                assert!(!mlx_sys::is_allocator_table(&table), "{slot}: {other:?}");
            }
        }
    }

    extern "C" fn defined_here() {}

    /// Functions of a library that stands in for NVRTC.
    fn load_nvrtc(name: &str, flags: &str) -> unsafe extern "C" fn() {
        let folder = super::Folder(std::env::temp_dir().join(format!("node-mlx-{name}-{}", std::process::id())));
        fs::create_dir_all(&folder.0).unwrap();
        let (source, library) = (folder.0.join("nvrtc.c"), folder.0.join("libnvrtc.so.13"));
        fs::write(&source, "#include <signal.h>\nvoid compile(void) { signal(SIGUSR2, SIG_IGN); }\n").unwrap();
        let done =
            Command::new("cc").args(["-shared", "-fPIC", flags, "-o"]).args([&library, &source]).status().unwrap();
        assert!(done.success());
        let library = CString::new(library.to_str().unwrap()).unwrap();
        // SAFETY: the library has the function, and stays loaded.
        unsafe {
            let handle = libc::dlopen(library.as_ptr(), libc::RTLD_LAZY);
            std::mem::transmute(NonNull::new(libc::dlsym(handle, c"compile".as_ptr())).unwrap())
        }
    }

    #[test]
    fn the_compiler_of_kernels_leaves_signals_alone() {
        let others = mlx_sys::keep_signals();
        let functions = [load_nvrtc("lazy", "-Wl,-z,lazy"), load_nvrtc("now", "-Wl,-z,now,-z,relro")];
        let handler = || {
            // SAFETY: this only asks for the handler, and a zeroed structure is a valid one.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                assert_eq!(libc::sigaction(libc::SIGUSR2, std::ptr::null(), &raw mut action), 0);
                action.sa_sigaction
            }
        };
        assert_eq!(mlx_sys::keep_signals(), others + 2);
        for compile in functions {
            // SAFETY: the library is loaded.
            unsafe { compile() };
            assert_eq!(handler(), libc::SIG_DFL);
        }
    }
}
