# Builds every image; called at the top of the repository, with metadata.hcl beside this: README.md has the command.
variable "registry" {
  default = "registry.example"
}

# The commit that is built.
variable "revision" {
  default = ""
}

# Seconds since 1970, of that commit: the one time that is in files, layers and labels.
variable "SOURCE_DATE_EPOCH" {
  default = "315532800"
}

created = timeadd("1970-01-01T00:00:00Z", "${SOURCE_DATE_EPOCH}s")
version = metadata.versions.trixie["18"]

function "described" {
  params = [title, description, version, base]
  result = {
    "org.opencontainers.image.title"       = title
    "org.opencontainers.image.description" = description
    "org.opencontainers.image.version"     = version
    "org.opencontainers.image.created"     = created
    "org.opencontainers.image.revision"    = revision
    "org.opencontainers.image.licenses"    = join(" AND ", metadata.licenses)
    "org.opencontainers.image.vendor"      = "The pgbearer authors"
    "org.opencontainers.image.base.name"   = base
  }
}

group "default" {
  targets = ["module", "operand", "service"]
}

target "image" {
  context   = "."
  platforms = ["linux/amd64", "linux/arm64"]
  output    = ["type=image,rewrite-timestamp=true"]
  attest    = ["type=provenance,mode=max", "type=sbom"]
  args = {
    SOURCE_DATE_EPOCH = SOURCE_DATE_EPOCH
  }
}

target "module" {
  name       = "module-${pg}"
  inherits   = ["image"]
  matrix     = { pg = keys(metadata.versions.trixie) }
  dockerfile = "cnpg/image/module.Dockerfile"
  target     = "module"
  tags = [
    "${registry}/${metadata.image_name}:${metadata.versions.trixie[pg]}-${pg}-trixie",
    "${registry}/${metadata.image_name}:${metadata.versions.trixie[pg]}-${formatdate("YYYYMMDDhhmm", created)}-${pg}-trixie",
  ]
  args = {
    BASE     = metadata.bases[pg]
    PG_MAJOR = pg
  }
  labels = merge(
    described("pgbearer-module", "OAuth logins for PostgreSQL ${pg}, as an image volume", metadata.versions.trixie[pg], "scratch"),
    {
      "io.cloudnativepg.image.base.name"    = metadata.bases[pg]
      "io.cloudnativepg.image.base.pgmajor" = pg
      "io.cloudnativepg.image.base.os"      = "trixie"
    },
  )
}

target "operand" {
  name       = "operand-${pg}"
  inherits   = ["image"]
  matrix     = { pg = keys(metadata.versions.trixie) }
  dockerfile = "cnpg/image/module.Dockerfile"
  target     = "operand"
  # the operator reads PostgreSQL's version from the beginning of the tag
  tags = ["${registry}/pgbearer-postgresql:${pg}-${metadata.versions.trixie[pg]}-trixie"]
  args = {
    BASE     = metadata.bases[pg]
    PG_MAJOR = pg
  }
  labels = described("pgbearer-postgresql", "PostgreSQL ${pg} with OAuth logins", metadata.versions.trixie[pg], metadata.bases[pg])
}

target "service" {
  inherits   = ["image"]
  dockerfile = "cnpg/image/service.Dockerfile"
  target     = "service"
  tags       = ["${registry}/pgbearer:${version}"]
  args = {
    BASE = metadata.bases.service
  }
  labels = described("pgbearer", "Decides who may log in to PostgreSQL, as which role, and for how long", version, metadata.bases.service)
}
