# VirtioSharp: build, run and test. `make help` lists the targets.
BUILD := build
KERNEL := $(BUILD)/kernel.elf
OBJ := $(BUILD)/kernel

all: kernel

kernel: managed $(KERNEL)

managed:
	@dotnet build kernel/VirtioSharp.Kernel.csproj -c Release -v quiet -nologo -clp:NoSummary

$(OBJ)/%.o: boot/%.S
	@mkdir -p $(OBJ)
	@as --64 -o $@ $<

# Linked twice: the first time to know where the functions are, the second time with the table that names them.
OBJECTS := $(OBJ)/boot.o $(OBJ)/cpu.o $(OBJ)/kernel.o
LINK := ld -m elf_x86_64 -z noexecstack -z max-page-size=4096 -T linker.ld

$(KERNEL): $(OBJECTS) linker.ld tools/make-symbols
	@$(LINK) -o $(OBJ)/unnamed.elf $(OBJECTS)
	@tools/make-symbols $(OBJ)/unnamed.elf > $(OBJ)/symbols.S
	@as --64 -o $(OBJ)/symbols.o $(OBJ)/symbols.S
	@$(LINK) -o $@ $(OBJECTS) $(OBJ)/symbols.o

clean:
	@rm -rf $(BUILD)

.PHONY: all kernel managed clean
