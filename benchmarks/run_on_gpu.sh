#!/usr/bin/env bash
# Build, test, sanitise and measure on a bare machine with a CUDA device, in under ten minutes and without a network.
#   benchmarks/run_on_gpu.sh [FOLDER] [build] [test] [sanitise] [bench]     (all steps by default)
# It needs nvcc, CMake and a Python with pybind11, NumPy, CuPy and pytest; what is built lies in $MASKMILL_GPU_BUILD (in the
# temporary folder by default), so that later calls need not build. Logs and tables go to FOLDER, by default $OUT or
# ./gpu-results: summary.txt, table.md, resources.md, and a log of each step. Steps go on after one that failed, within
# $MASKMILL_GPU_SECONDS (570) in all; the exit code is 0 if none failed. Without a device, what needs one is skipped.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

out=${OUT:-gpu-results}
steps=()
for word in "$@"; do
  case $word in
    build | test | sanitise | bench) steps+=("$word") ;;
    *) out=$word ;;
  esac
done
[ ${#steps[@]} -gt 0 ] || steps=(build test sanitise bench)
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 2

python=${PYTHON:-python3}
work=${MASKMILL_GPU_BUILD:-${TMPDIR:-/tmp}/maskmill-gpu}
total=${MASKMILL_GPU_SECONDS:-570}
PATH=$(dirname "$("$python" -c 'import sys; print(sys.executable)')"):$PATH:/usr/local/cuda/bin
export PATH PYTHONPATH=$work/site PYTHONDONTWRITEBYTECODE=1
failed=0

say() { echo "$*" | tee -a "$out/summary.txt"; }
left() { echo $((total - SECONDS)); }

# limit SECONDS COMMAND...: stopped after that long, or when the time of all is up.
limit() {
  local seconds=$1
  [ "$seconds" -lt "$(left)" ] || seconds=$(left)
  [ "$seconds" -gt 0 ] || return 124
  shift
  timeout --kill-after=5 "$seconds" "$@"
}

# report NAME CODE SINCE: what became of a step.
report() {
  local words="failed with $2"
  case $2 in
    0) words=done ;;
    124 | 137) words="stopped by its time limit" ;;
  esac
  [ "$2" -eq 0 ] || failed=1
  say "$1: $words, $((SECONDS - $3)) s"
}

# Why there is no GPU to use, or nothing.
missing() {
  "$python" -c 'from maskmill import _backend; print(_backend.why_missing("cuda") or "")' 2>&1 | tail -1
}

# without_device NAME: whether the step is to be left out. Anything but a missing device is a failure.
without_device() {
  local reason
  reason=$(missing)
  case $reason in
    "") return 1 ;;
    *"no CUDA device"*) say "$1: skipped, no CUDA device" ;;
    *) say "$1: failed, $reason" && failed=1 ;;
  esac
}

about() {
  date -u +'%Y-%m-%d %H:%M UTC'
  nvidia-smi 2>&1 || echo "no nvidia-smi"
  nvcc --version
  "$python" --version
  "$python" -m pip list 2>/dev/null | grep -iE '^(cupy|numpy|numba|pybind11|torch|cmake|ninja|pytest|hypothesis)'
  grep -m1 'model name' /proc/cpuinfo
  nproc
}

configure() {
  local version generator="Unix Makefiles"
  version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml | head -1)
  command -v ninja > /dev/null && generator=Ninja
  limit 60 cmake -G "$generator" -S . -B "$work/build" -DCMAKE_BUILD_TYPE=Release -DMASKMILL_CUDA=ON \
    -DSKBUILD_PROJECT_VERSION="$version" -DPython_EXECUTABLE="$(command -v "$python")" \
    -Dpybind11_DIR="$("$python" -m pybind11 --cmakedir)" -DCMAKE_CUDA_FLAGS=-Xptxas=-v
}

# As an installed maskmill is: the package, what was compiled, and the benchmarks in it.
assemble() {
  rm -rf "$work/site" && mkdir -p "$work/site" || return
  cp -r python/maskmill "$work/site/" && rm -f "$work"/site/maskmill/_c*.so || return
  cp -r benchmarks "$work/site/maskmill/" || return
  cp "$work"/build/_core*.so "$work"/build/_cuda*.so "$work/site/maskmill/" || return
  "$python" -c 'import maskmill._core, maskmill._cuda'
}

build() {
  local since=$SECONDS capability code=0
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2> /dev/null | head -1 | tr -dc 0-9)
  export CUDAARCHS=${CUDAARCHS:-${capability:-90}-real}
  mkdir -p "$work"
  { configure && limit $((total / 2)) cmake --build "$work/build" --parallel "$(nproc)" --target _core _cuda; } \
    > "$out/build.log" 2>&1 || code=$?
  [ $code -ne 0 ] || assemble >> "$out/build.log" 2>&1 || code=$?
  [ $code -eq 0 ] || grep -E 'rror:|FAILED|CMake Error' "$out/build.log" | head -20
  [ $code -ne 0 ] || "$python" -m maskmill doctor >> "$out/machine.log" 2>&1
  report "build (CUDAARCHS=$CUDAARCHS)" $code "$since"
  "$python" benchmarks/gpu_resources.py "$out/build.log" > "$out/resources.md" 2> "$out/resources.log" ||
    say "resources: failed, see resources.log"
}

# pytest_log NAME SECONDS COMMAND...: its last line goes to the summary, what failed to the output.
pytest_log() {
  local name=$1 seconds=$2 since=$SECONDS code=0
  shift 2
  limit "$seconds" "$@" > "$out/$name.log" 2>&1 || code=$?
  [ $code -ne 5 ] || code=0 # nothing was collected
  grep -E '^(FAILED|ERROR)' "$out/$name.log" | head -20
  report "$name ($(tail -1 "$out/$name.log" | tr -d =))" $code "$since"
}

as_pycocotools='
import importlib.util, sys, pytest
if importlib.util.find_spec("pycocotools") is None:
    from maskmill import pycocotools
    pycocotools.install()
'

# Those of arrays on a GPU, those of kernels that have a twin there, and the cases to be measured with small inputs, whose
# answers are compared with the core's. Where pycocotools is missing, maskmill's own stands in.
run_tests() {
  local file of_kernels=() since code=0
  pytest_log test 120 "$python" -m pytest -q -rs -p no:cacheprovider -k 'not emulated' tests/test_cuda*.py
  for file in cpp/kernels/*.cu; do
    file=tests/test_$(basename "$file" .cu).py
    [ ! -f "$file" ] || of_kernels+=("$file")
  done
  pytest_log test-kernels 60 "$python" -c "$as_pycocotools"'sys.exit(pytest.main(sys.argv[1:]))' -q -p no:cacheprovider \
    --continue-on-collection-errors -k cuda-device "${of_kernels[@]}"
  without_device "test of what needs a GPU" && return
  since=$SECONDS
  limit 60 "$python" -m maskmill bench --backend cuda --quick --repeat 1 > "$out/test-cases.log" 2>&1 || code=$?
  grep -E 'WRONG|Error' "$out/test-cases.log" | head -20
  report "test-cases" $code "$since"
}

# Without CuPy's pool, so that every array has ends that memcheck knows.
sanitise() {
  local tool sanitizer selection
  without_device sanitise && return
  sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda*/bin/compute-sanitizer 2> /dev/null | head -1)
  if [ -z "$sanitizer" ]; then
    say "sanitise: failed, there is no compute-sanitizer" && failed=1
    return
  fi
  for tool in memcheck racecheck; do
    selection='not emulated'
    [ $tool = memcheck ] || selection+=' and (layouts or masks or chain or planes or polygons or hashes or features)'
    pytest_log $tool 75 "$sanitizer" --tool $tool --error-exitcode 9 --print-limit 20 "$python" -c \
      'import sys, cupy, pytest; cupy.cuda.set_allocator(None); sys.exit(pytest.main(sys.argv[1:]))' \
      -q -p no:cacheprovider -k "$selection" tests/test_cuda_masks.py tests/test_cuda.py
    grep -E 'ERROR SUMMARY|RACECHECK SUMMARY' "$out/$tool.log" | tail -1 | tee -a "$out/summary.txt"
  done
}

# A process for each kernel: one that fails leaves the others a device that works.
bench() {
  local kernel since code
  without_device bench && return
  mkdir -p "$out/bench"
  for kernel in rle patches hashes hamming polygons overlap setops matching features; do
    since=$SECONDS code=0
    limit 90 "$python" -m maskmill bench --backend cuda --only $kernel --markdown "$out/bench/$kernel.md" \
      --json "$out/bench/$kernel.json" > "$out/bench/$kernel.log" 2>&1 || code=$?
    grep -E 'WRONG|Error' "$out/bench/$kernel.log" | head -5
    report "bench $kernel" $code "$since"
  done
  # One table: the first one's head, all rows, then all that is said below, once.
  awk '/^\|/ && (FNR > 2 || FNR == NR)' "$out"/bench/*.md > "$out/table.md"
  { echo && awk '/^- / && !seen[$0]++' "$out"/bench/*.md; } >> "$out/table.md"
}

: > "$out/summary.txt"
about > "$out/machine.log" 2>&1
for step in "${steps[@]}"; do
  case $step in
    test) run_tests ;;
    *) $step ;;
  esac
done
say "all: $SECONDS s of $total, exit code $failed"
[ ! -s "$out/table.md" ] || cat "$out/table.md"
exit $failed
