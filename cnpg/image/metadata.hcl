# What is built, for which PostgreSQL and over what; the names are those of CloudNativePG's own extension images.
metadata = {
  name                     = "pgbearer"
  image_name               = "pgbearer-module"
  licenses                 = ["Apache-2.0"]
  shared_preload_libraries = ["pgbearer"]
  extension_control_path   = []
  dynamic_library_path     = ["lib"]
  ld_library_path          = []
  bin_path                 = []
  required_extensions      = []
  create_extension         = false

  versions = {
    trixie = {
      "18" = "0.1.0"
      "19" = "0.1.0"
    }
  }

  # No digests: none could be looked up where this was written, and a tag may be another image tomorrow. Before you rely on
  # one, append to each what `docker buildx imagetools inspect IMAGE --format '{{.Manifest.Digest}}'` says: IMAGE@sha256:...
  # 19 is not released yet, and its image's name is the one that is to be expected.
  bases = {
    "18"    = "ghcr.io/cloudnative-pg/postgresql:18-minimal-trixie"
    "19"    = "ghcr.io/cloudnative-pg/postgresql:19-minimal-trixie"
    service = "debian:trixie-slim"
  }
}
