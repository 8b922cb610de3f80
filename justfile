# CI's own steps by the same names (scripts in .ci/steps, a test compares), then what is handy beside them.
# `just` itself is not needed: every recipe is one command that can be typed.

_list:
    @just --list --unsorted

# everything that has to hold before a change is merged, in order
ci:
    .ci/run

# what the other steps need: a linker, Python, Node.js, curl; installed where apt-get can
tools:
    .ci/run tools

# the sources are formatted
format:
    .ci/run format

# no circles of files inside a crate, no file or function that is too long, no name of a type twice, no test that sleeps
structure:
    .ci/run structure

# licences, bans and sources of the dependencies
licences:
    .ci/run licences

# links and anchors of all documents, spelling, and the site that mdBook makes of them
documents:
    .ci/run documents

# workflows, forms and proposals of GitHub, YAML, the image's Dockerfile, scripts, the systemd unit: linted; nothing is started
workflows:
    .ci/run workflows

# the compose file, the chart for three sets of values, dashboard and alert rules: linted, rendered, validated; nothing is started
deploy:
    .ci/run deploy

# clippy, warnings are errors
lints:
    .ci/run lints

# the kernels under AddressSanitizer, on Linux
kernels:
    .ci/run kernels

# the kernels with every instruction set of ARM, under emulation where this machine is none
neon:
    .ci/run neon

# the documentation of the sources builds, warnings are errors
rustdoc:
    .ci/run rustdoc

# the playground: types, unit tests, the committed build, the page in a real browser, its examples with the services' clients, Lighthouse
playground:
    .ci/run playground

# random JPEG files as Pillow reads them
jpeg:
    .ci/run jpeg

# every fuzz target for FUZZ_SECONDS, 20 unless set
fuzz:
    .ci/run fuzz

# the README's first command: the server starts and is ready
readme-server:
    .ci/run readme-server

# the README's picture without a server
readme-picture:
    .ci/run readme-picture

# the kernels for NVIDIA's cards, by Triton's interpreter and compiler; no card is needed
gpu:
    .ci/run gpu

# the writers of the benchmarks' tables
bench:
    .ci/run bench

# files in a bucket, against a server that speaks S3
storage:
    .ci/run storage

# many hosts on one database: PostgreSQL 15 and 18, a pooler, hosts and databases that fail, clocks that jump
hosts:
    .ci/run hosts

# servers and workers are replaced one at a time by another version while clients go on, there and back
upgrade:
    .ci/run upgrade

# the README's second command: all tests, with a summary at the end
tests:
    .ci/run tests

# the server with the demo model on port 8080
serve $AFTERIMAGE_API_KEY="change-me-please":
    cargo run --release -- serve

# some tests: `just test -p afterimage-jobs`, `just test -p afterimage --test cli readme`
test *arguments:
    cargo test --release {{ arguments }}

# the kernels on an emulated processor with AVX-512 VNNI and BF16; `just avx512 gemm::` runs some tests only
avx512 *tests:
    .ci/emulate/kernels.sh {{ tests }}

# writes what is generated in the documents anew: help, keys of the configuration, parameters of the services
renew-documents:
    AFTERIMAGE_UPDATE_DOCS=1 cargo test --release --test cli documents::
    AFTERIMAGE_UPDATE_DOCS=1 cargo test --release --test documentation

# writes the expected texts of the tests anew; read the difference before it is committed
snapshots:
    INSTA_UPDATE=always cargo test --release --test cli
    INSTA_UPDATE=always cargo test --release -p afterimage-server --lib

# the documents as a site, shown on port 3000 while they are edited; needs mdBook
site:
    mdbook serve

# the package for Python, built, installed into a fresh environment and run
wheel:
    .ci/wheel.sh
