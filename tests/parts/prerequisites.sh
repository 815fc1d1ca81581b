#!/bin/sh
# What the machine itself must have before anything can be built; the rest sets itself up. Plain POSIX sh, because Python may
# be what is missing. Says all that is missing at once, with how to get it, and then exits 1.
#
#   prerequisites.sh python     enough for the Python environment
#   prerequisites.sh            everything that `make demo` and `make test` need

PYTHON=${PYTHON:-python3}
CC=${CC:-cc}
lacking=0

missing() { # WHAT HOW
  [ "$lacking" = 1 ] || echo "This machine lacks:" >&2
  lacking=1
  printf '  * %s\n      %s\n' "$1" "$2" >&2
}

has() { command -v "$1" >/dev/null 2>&1; }

engine_runs() { # a client that is installed says nothing about an engine that answers
  for engine in docker podman; do
    has "$engine" && timeout 10 "$engine" info >/dev/null 2>&1 && return 0
  done
  return 1
}

java_is_new_enough() {
  has java || return 1
  major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
  [ "${major:-0}" -ge 17 ]
}

compiles() { echo "$1" | "$CC" -E -x c - >/dev/null 2>&1; }

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  missing "Python 3.11 or newer (as $PYTHON; another one: make PYTHON=python3.12 ...)" \
    "apt-get install python3 python3-venv; dnf install python3.12"
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
  missing "Python's venv module" "apt-get install python3-venv"

if [ "$1" != python ]; then
  has make || missing "make" "apt-get install make; dnf install make"
  compiles '#include <stdio.h>' ||
    missing "a C compiler (as $CC), which builds the PostgreSQL module" "apt-get install build-essential; dnf install gcc"
  if ! engine_runs; then
    java_is_new_enough ||
      missing "Java 17 or newer, which runs Keycloak (or a container engine that is running)" \
        "apt-get install default-jre-headless; dnf install java-21-openjdk-headless"
    has mvn ||
      missing "Maven, which fetches Keycloak (or a container engine that is running)" \
        "apt-get install maven; dnf install maven"
  fi
fi

exit "$lacking"
