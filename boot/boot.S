/* From the boot protocols (PVH and multiboot 1, both 32 bit) to long mode, and into C#. */

    .set MULTIBOOT_MAGIC, 0x1BADB002
    .set MULTIBOOT_FLAGS, 0x00010003        /* page aligned modules, memory map, address fields */
    .set BOOT_MULTIBOOT, 0x2BADB002
    .set BOOT_PVH, 0x336EC578
    .set PRESENT, 1
    .set WRITABLE, 2
    .set LARGE, 0x80
    .set NO_EXECUTE_HIGH, 0x80000000        /* bit 63, in the upper half of an entry */
    .set EXTENDED_FEATURES, 0x80000001      /* a leaf of CPUID */
    .set LONG_MODE_AND_NO_EXECUTE, 0x20100000

    .section .note.pvh, "a", @note
    .align 4
    .long 4, 4, 18                          /* name size, descriptor size, XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long pvh_entry

    .section .boot, "ax"
    .align 4
multiboot_header:
    .long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
    .long multiboot_header, __image_start, __load_end, __bss_end, multiboot_entry

    .code32
    .global multiboot_entry
multiboot_entry:
    mov $BOOT_MULTIBOOT, %ebp
    jmp 1f
    .global pvh_entry
pvh_entry:
    mov $BOOT_PVH, %ebp
1:  cli
    cld
    mov $stack_top, %esp

    /* A processor without long mode would fault for ever below: say so instead. */
    mov %ebx, %esi                          /* CPUID overwrites the address of the information */
    mov $0x80000000, %eax
    cpuid
    cmp $EXTENDED_FEATURES, %eax
    jb not_supported
    mov $EXTENDED_FEATURES, %eax
    cpuid
    and $LONG_MODE_AND_NO_EXECUTE, %edx
    cmp $LONG_MODE_AND_NO_EXECUTE, %edx
    jne not_supported
    mov %esi, %ebx

    /* The first 2 MiB in 4 KiB pages, each with the rights of what lies there. */
    mov $page_table, %edi
    xor %eax, %eax                          /* the address of the page */
2:  mov $0, %ecx                            /* rights, lower and upper half */
    mov $0, %edx
    cmp $stack_guard, %eax
    je 5f
    mov $PRESENT, %ecx
    cmp $__text_start, %eax
    jb 3f
    cmp $__text_end, %eax
    jb 5f                                   /* code: read and execute */
3:  mov $NO_EXECUTE_HIGH, %edx
    cmp $__rodata_start, %eax
    jb 4f
    cmp $__rodata_end, %eax
    jb 5f                                   /* constants: read */
4:  or $WRITABLE, %ecx                      /* everything else: read and write */
5:  or %eax, %ecx
    test $PRESENT, %ecx
    jnz 6f
    xor %ecx, %ecx
6:  mov %ecx, (%edi)
    mov %edx, 4(%edi)
    add $8, %edi
    add $0x1000, %eax
    cmp $0x200000, %eax
    jb 2b

    /* The rest of the first GiB in 2 MiB pages, for data. What is needed above is mapped later. */
    mov $page_directory, %edi
    movl $page_table + PRESENT + WRITABLE, (%edi)
    movl $0, 4(%edi)
    mov $0x200000 + PRESENT + WRITABLE + LARGE, %eax
7:  add $8, %edi
    mov %eax, (%edi)
    movl $NO_EXECUTE_HIGH, 4(%edi)
    add $0x200000, %eax
    cmp $page_directory + 4096 - 8, %edi
    jb 7b
    movl $page_directory + PRESENT + WRITABLE, page_directory_pointers
    movl $page_directory_pointers + PRESENT + WRITABLE, page_map

    mov $page_map, %eax
    mov %eax, %cr3
    mov %cr4, %eax
    or $0x620, %eax                         /* PAE, OSFXSR, OSXMMEXCPT */
    mov %eax, %cr4
    mov $0xC0000080, %ecx                   /* EFER: long mode, no-execute */
    rdmsr
    or $0x900, %eax
    wrmsr
    mov $0x80010013, %eax                   /* PG, WP, ET, MP, PE */
    mov %eax, %cr0

    /* The task state segment's address goes into its descriptor. */
    mov $task_state, %eax
    mov %ax, gdt_task + 2
    shr $16, %eax
    mov %al, gdt_task + 4
    mov %ah, gdt_task + 7
    lgdt gdt_pointer
    ljmp $8, $long_mode

not_supported:
    mov $not_supported_text, %esi
    mov $0x3F8, %edx                        /* COM1 */
8:  lodsb
    test %al, %al
    jz 9f
    out %al, %dx
    jmp 8b
9:  mov $0x12, %al                          /* as ExitCode.Panic */
    out %al, $0xF4
10: hlt
    jmp 10b
not_supported_text:
    .asciz "VirtioSharp needs a 64-bit processor with no-execute pages (QEMU: -cpu qemu64)\r\n"

    .code64
long_mode:
    mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    mov $24, %eax
    ltr %ax
    mov %ebp, %edi                          /* which protocol */
    mov %ebx, %esi                          /* its information */
    xor %ebp, %ebp                          /* the end of the frame chain */
    call kernel_main
8:  cli
    hlt
    jmp 8b

    .section .data
    .align 16
gdt:
    .quad 0
    .quad 0x00AF9A000000FFFF                /* 8: code, 64 bit */
    .quad 0x00CF92000000FFFF                /* 16: data */
gdt_task:
    .quad 0x0000890000000067, 0             /* 24: task state, 104 bytes */
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long gdt
    .long 0
    .align 16
task_state:
    .long 0
    .quad 0, 0, 0                           /* stacks of privilege levels: unused */
    .quad 0
    .quad emergency_stack_top               /* interrupt stack 1: exceptions, so that a stack overflow can be told */
    .fill 6, 8, 0
    .long 0
    .word 0, 104

    .section .bss, "aw", @nobits
    .align 4096
page_map: .skip 4096
page_directory_pointers: .skip 4096
page_directory: .skip 4096
page_table: .skip 4096
    .global interrupt_table
interrupt_table: .skip 4096
    .global stack_guard
stack_guard: .skip 4096
    .global stack_bottom
stack_bottom: .skip 65536
    .global stack_top
stack_top:
    .global early_heap
early_heap: .skip 65536
emergency_stack: .skip 16384
emergency_stack_top:

    .section .note.GNU-stack, "", @progbits
