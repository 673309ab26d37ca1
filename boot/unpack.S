/* The packed image (make packed): unpacks the kernel to where it was linked to run, and enters it as the boot protocol would have. */

    .set MULTIBOOT_MAGIC, 0x1BADB002
    .set MULTIBOOT_FLAGS, 0x00010003        /* page aligned modules, memory map, address fields */
    .set CALL, 0xE8

    .section .note.pvh, "a", @note
    .align 4
    .long 4, 4, 18                          /* name size, descriptor size, XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long pvh_entry

    .section .boot, "ax"
    .align 4
multiboot_header:
    .long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
    .long multiboot_header, __load_start, __load_end, __load_end, multiboot_entry

    /* There is no stack: EBX, the address of the boot information, and where to go on wait in registers that nothing else here needs. */
    .code32
    .global multiboot_entry
multiboot_entry:
    mov $KERNEL_MULTIBOOT_ENTRY, %edx
    jmp 1f
    .global pvh_entry
pvh_entry:
    mov $KERNEL_PVH_ENTRY, %edx
1:  cli
    cld
    mov %cr0, %eax
    and $~0xC, %eax                         /* EM, TS: SSE is there */
    or $2, %eax                             /* MP */
    mov %eax, %cr0
    mov %cr4, %eax
    or $0x200, %eax                         /* OSFXSR */
    mov %eax, %cr4
    movd %ebx, %xmm6
    movd %edx, %xmm7

    /* Sequences, as tools/pack/Format.cs describes them. ESI reads, EDI writes, EBP is the distance. Short runs are copied with a fixed length;
       what that writes too much is written over by what comes next. */
    mov $packed, %esi
    mov $KERNEL_START, %edi
    jmp 3f
2:  movq (%ebx), %xmm0                      /* a match: at most 16 bytes from at least 8 before */
    movq %xmm0, (%edi)
    movq 8(%ebx), %xmm0
    movq %xmm0, 8(%edi)
    add %ecx, %edi
3:  mov (%esi), %edx                        /* the token and two literals */
    movzbl %dl, %eax
    mov %eax, %ecx
    and $3, %ecx                            /* how many literals */
    cmp $3, %ecx
    je many_literals
    shr $8, %edx
    mov %dx, (%edi)
    lea 1(%esi, %ecx), %esi
    add %ecx, %edi
4:  mov %eax, %ecx
    shr $6, %ecx                            /* bytes of distance; without any it stays */
    mov (%esi), %edx
    and masks(, %ecx, 4), %edx
    inc %edx
    add %ecx, %esi
    test %ecx, %ecx
    cmovnz %edx, %ebp
    mov %edi, %ebx
    sub %ebp, %ebx
    shr $2, %eax
    and $15, %eax
    lea 2(%eax), %ecx
    cmp $15, %eax
    je long_match
    cmp $8, %ebp
    jae 2b
5:  xchg %ebx, %esi                         /* byte by byte, since what is read may just have been written */
    rep movsb
    mov %ebx, %esi
    jmp 3b

many_literals:
    movzbl %dh, %edx
    add $2, %esi
    cmp $255, %edx
    jb 6f
    movzwl (%esi), %edx
    add $2, %esi
6:  add %edx, %ecx
    mov %esi, %ebx
    mov %edi, %edx
    add %ecx, %esi
    add %ecx, %edi
7:  movups (%ebx), %xmm0
    movups %xmm0, (%edx)
    add $16, %ebx
    add $16, %edx
    cmp %edi, %edx
    jb 7b
    jmp 4b

long_match:
    movzbl (%esi), %edx
    inc %esi
    cmp $255, %edx
    jb 8f
    movzwl (%esi), %edx
    add $2, %esi
    cmp $0xFFFF, %edx
    je unpacked
8:  add %edx, %ecx
    cmp $16, %ebp
    jb 5b
    mov %edi, %edx
    add %ecx, %edi
9:  movups (%ebx), %xmm0
    movups %xmm0, (%edx)
    add $16, %ebx
    add $16, %edx
    cmp %edi, %edx
    jb 9b
    jmp 3b

    /* What was not in the file is zero. EDI is where the file ended; the end is a page's. */
unpacked:
    xorps %xmm0, %xmm0
10: movups %xmm0, (%edi)
    add $16, %edi
    cmp $KERNEL_END - 16, %edi
    jb 10b
    movups %xmm0, KERNEL_END - 16

    /* The targets of calls are places in the code: distances again (tools/pack/CallTargets.cs). Four bytes are looked at at once. */
    mov $KERNEL_START, %esi
11: mov (%esi), %eax
    xor $CALL * 0x01010101, %eax
    lea -0x01010101(%eax), %edx             /* the sign of a byte that is zero, and of none below it */
    not %eax
    and %eax, %edx
    and $0x80808080, %edx
    jnz 12f
    add $4, %esi
    cmp $KERNEL_TEXT_END, %esi
    jb 11b
    jmp 14f
12: bsf %edx, %edx
    shr $3, %edx
    lea 5(%esi, %edx), %esi                 /* behind the call */
    cmp $KERNEL_TEXT_END, %esi
    ja 14f
    mov -4(%esi), %eax
    lea -KERNEL_START(%esi), %edx
    cmp $KERNEL_TEXT_END - KERNEL_START, %eax
    jae 13f
    sub %edx, %eax
    mov %eax, -4(%esi)
    jmp 11b
13: neg %edx                                /* no place: is it what was moved out of the way? */
    cmp %edx, %eax
    jb 11b
    addl $KERNEL_TEXT_END - KERNEL_START, -4(%esi)
    jmp 11b

14: movd %xmm6, %ebx
    movd %xmm7, %eax
    jmp *%eax

    .section .packed, "a"
    .align 4
masks:                                      /* by bytes of distance */
    .long 0, 0xFF, 0xFFFF, 0xFFFFFF
packed:
    .incbin "packed.bin"
    .skip 16                                /* short runs and distances are read with more than they have */

    .section .note.GNU-stack, "", @progbits
