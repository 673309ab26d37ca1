# VirtioSharp: build, run and test. `make help` lists the targets.
# Variables: MACHINE=q35|pc|microvm|microvm-mmio  DISK=image  APPEND=command line  QEMU=program  MEMORY=MiB
BUILD := build
OBJ := $(BUILD)/kernel
KERNEL := $(BUILD)/kernel.elf
DISK ?= $(BUILD)/demo.img
MACHINE ?= q35
DOTNET_BUILD := dotnet msbuild -restore -v:q -nologo -p:Configuration=Release

export DISK MACHINE APPEND QEMU MEMORY

.DEFAULT_GOAL := kernel
.PHONY: help setup kernel packed managed run debug test host-test soak conformance coverage fuzz mutants check format model size bench bench-check bench-baseline bench-boot bench-micro scale asm profile clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile
	@echo "Variables: MACHINE=q35|pc|microvm|microvm-mmio DISK=image APPEND='command line' QEMU=program MEMORY=MiB"

setup: ## installs what is missing on this machine
	@tools/setup

kernel: setup managed $(KERNEL) ## builds build/kernel.elf

managed:
	@$(DOTNET_BUILD) kernel/VirtioSharp.Kernel.csproj

$(OBJ)/%.o: boot/%.S
	@mkdir -p $(OBJ)
	@as --64 -o $@ $<

# Linked twice: the first time to know where the functions are, the second time with the table that names them.
OBJECTS := $(OBJ)/boot.o $(OBJ)/cpu.o $(OBJ)/kernel.o
LINK := ld -m elf_x86_64 -z noexecstack -z max-page-size=4096 -T linker.ld

$(OBJ)/kernel.o: managed

$(KERNEL): $(OBJECTS) linker.ld tools/make-symbols
	@$(LINK) -o $(OBJ)/unnamed.elf $(OBJECTS)
	@tools/make-symbols $(OBJ)/unnamed.elf > $(OBJ)/symbols.S
	@as --64 -o $(OBJ)/symbols.o $(OBJ)/symbols.S
	@$(LINK) -o $@ $(OBJECTS) $(OBJ)/symbols.o

packed: kernel $(BUILD)/packed.elf ## builds build/packed.elf: the same kernel, packed; it unpacks itself when it boots

$(BUILD)/packed.elf: $(KERNEL) boot/unpack.S boot/unpack.ld tools/make-packed $(wildcard tools/pack/*)
	@tools/make-packed $(KERNEL) $@

$(BUILD)/demo.img: tools/make-demo-disk
	@tools/make-demo-disk $@

run: kernel $(BUILD)/demo.img ## boots the kernel with a disk and a console; a shell on the serial line
	@tools/run-qemu $(KERNEL)

debug: kernel $(BUILD)/demo.img ## boots and waits for gdb: gdb build/kernel.elf -ex 'target remote :1234'
	@echo "QEMU waits; in another terminal: gdb $(KERNEL) -ex 'target remote :1234'"
	@tools/run-qemu $(KERNEL) -s -S

test: kernel packed $(BUILD)/demo.img ## all tests; ends with one line `N passed, N failed`
	@tools/run-tests

host-test: setup ## the tests that need no QEMU
	@FILTER='Needs!=qemu' tools/run-tests

soak: setup ## ten million random sequences of operations, and as many runs of the fuzzer; about an hour
	@SEARCH_SEQUENCES=$${SEARCH_SEQUENCES:-10000000} SEARCH_SEED=$${SEARCH_SEED:-time} CONFIGURATION=Release FILTER='FullyQualifiedName~Tests.Search' tools/run-tests
	@RUNS=$${RUNS:-1500000} tools/run-fuzz

fuzz: setup ## the fuzzer, RUNS=100000 times for each TARGET; what reaches new edges of the drivers goes to tests/fuzz/corpus
	@tools/run-fuzz

coverage: setup ## lines and branches of drivers/ that the tests without QEMU reach; MISSING=1 lists what they do not
	@tools/run-coverage

conformance: setup ## which test shows which requirement of the specification: writes docs/spec-map.md
	@SPEC_MAP=write FILTER='FullyQualifiedName~SpecMap' tools/run-tests
	@awk -F '|' '/^\| [A-Z]/ { level = ($$2 ~ /DEV-/ ? "device" : "driver") $$3; all[level]++; if ($$5 ~ /^ \*/) reason[level]++ } \
	    END { for (l in all) printf "%-20s %3d requirements, %3d shown by tests, %3d with a reason\n", l, all[l], all[l] - reason[l], reason[l] }' docs/spec-map.md

mutants: setup ## changes drivers/ in some 6000 places, FILES=drivers/pci only there, and says which changes no test notices; an hour or two
	@for step in prepare run report; do tools/run-mutants $$step build/mutants $(FILES) || exit 1; done

format: setup ## checks the layout of the sources
	@for folder in drivers kernel tests; do dotnet format whitespace --folder --verify-no-changes $$folder || exit 1; done
	@echo "format: as it should be"

model: ## searches the models of the virtqueues' two races, and their mutants, which have to fail
	@tools/setup model
	@tools/run-model

check: format kernel model ## what CI runs: format, both compilers, symbols, layering, models, counts and all tests
	@$(DOTNET_BUILD) drivers/VirtioSharp.Drivers.csproj
	@tools/check-symbols $(OBJ)/kernel.o
	@tools/run-bench check
	@$(MAKE) --no-print-directory test

size: kernel packed ## what the image consists of
	@tools/size-report $(KERNEL) $(OBJ)/kernel.o.map.xml $(BUILD)/packed.elf

bench: kernel ## measures and counts disks and consoles, in some two minutes; KEEP=1 adds the result to bench/results
	@tools/run-bench run

bench-check: kernel ## fails where a request costs over 5 % more instructions, exits or allocations than bench/baseline.json says
	@tools/run-bench check

bench-baseline: kernel ## writes bench/baseline.json anew
	@tools/run-bench baseline

bench-boot: kernel ## how long a boot takes, and which device registers it reads and writes how often
	@tools/run-bench boot

scale: kernel ## how cost grows with depth, queues, requests, disks and memory: docs/performance/scale.svg
	@tools/run-bench scale

bench-micro: setup ## parts of the drivers on the host, by BenchmarkDotNet
	@dotnet build bench/micro/VirtioSharp.MicroBenchmarks.csproj -c Release --nologo -v q
	@build/dotnet/bin/VirtioSharp.MicroBenchmarks/release/VirtioSharp.MicroBenchmarks

asm: kernel ## the machine code of the functions with F in their names: make asm F=VirtioBlk__Submit
	@tools/show-assembly $(KERNEL) "$${F:?say which function: make asm F=VirtioBlk__Submit}"

profile: kernel ## guest instructions for each request of JOB=randread_4k_qd32, API=await|direct, by function; F=function: one by one
	@tools/run-profile $(KERNEL)

clean: ## removes everything that was built
	@rm -rf $(BUILD)
