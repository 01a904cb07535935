// Copyright (c) 2026 node-mlx contributors
// SPDX-License-Identifier: MIT

module.exports = {
  packagerConfig: {
    // The addon and its libraries are read by the system, which cannot look into an archive.
    asar: { unpack: '**/node_modules/{node-mlx,node-mlx-*}/**/*' },
  },
  makers: [{ name: '@electron-forge/maker-zip' }],
}
