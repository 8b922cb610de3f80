//! What a card would answer with wrong numbers, a broken context, or not at all.

mod support;

use afterimage_cuda_standin::HostPointer;
use afterimage_cuda_standin::entry::*;
use afterimage_cuda_standin::restart;
use std::ffi::CStr;
use support::*;

const COPY: &str = "copy.f32.f32";

/// Copies `rows` rows of 5 numbers between rows of 6.
fn copy(card: &PretendedCard, kernel: &str, x: u64, out: u64, rows: usize) -> i32 {
    let arguments = args![x: at x, out: at out, rows: rows, cols: 5, x_stride: 6, out_stride: 6];
    card.launch(kernel, [rows, 1], &arguments)
}

/// Bytes of `rows` rows of 5 numbers, 6 apart.
fn bytes_of(rows: usize) -> usize {
    4 * ((rows - 1) * 6 + 5)
}

#[test]
fn accesses_beyond_an_allocation_break_the_context() {
    let card = PretendedCard::new("", &[COPY]);
    let (x, out) = (card.room(bytes_of(3)), card.room(bytes_of(3)));
    assert_eq!(copy(&card, COPY, x, out, 3), 0, "{}", card.complaint());
    assert_eq!(copy(&card, COPY, x + 4, out, 3), 700);
    let complaint = card.complaint();
    assert!(complaint.starts_with("cuLaunchKernel: copy.f32.f32: x: 68 bytes at 0x"), "{complaint}");
    assert!(complaint.contains("reaches 4 bytes beyond the 68 bytes"), "{complaint}");
    // Everything that needs the context fails from now on.
    assert_eq!([cuCtxSynchronize(), cuMemFree_v2(x), cuStreamSynchronize(0)], [700; 3]);
    assert_eq!(result(|room| cuMemAlloc_v2(room, 1)), Err(700));
    // A new one works again.
    assert_eq!(cuDevicePrimaryCtxRelease_v2(0), 700);
    assert_eq!(card.report().cards[0].leaked_bytes, 2 * 68);
    assert_eq!(cuCtxSynchronize(), 201);
    let context = result(|out| cuDevicePrimaryCtxRetain(out, 0)).unwrap();
    assert_eq!([cuCtxSetCurrent(context), cuCtxSynchronize()], [0; 2]);
}

#[test]
fn outputs_and_copies_are_held_to_their_bounds_too() {
    let card = PretendedCard::new("", &[COPY]);
    let (x, out) = (card.room(bytes_of(3)), card.room(bytes_of(3) - 1));
    assert_eq!(copy(&card, COPY, x, out, 3), 700);
    assert!(card.complaint().contains("out: 68 bytes"), "{}", card.complaint());
    drop(card);
    for call in 0..4 {
        let card = PretendedCard::new("", &[]);
        let (address, mut host) = (card.room(16), [0_u8; 17]);
        let status = match call {
            0 => cuMemcpyHtoD_v2(address, from(&host), 17),
            1 => cuMemcpyDtoHAsync_v2(into(&mut host), address + 1, 16, 0),
            2 => cuMemcpyDtoDAsync_v2(address, address - 1, 4, 0),
            _ => cuMemsetD32Async(address + 8, 0, 3, 0),
        };
        assert_eq!(status, 700, "call {call}");
    }
}

#[test]
fn memory_that_was_freed_is_nobodys() {
    let card = PretendedCard::new("", &[COPY]);
    let (x, out) = (card.room(bytes_of(2)), card.room(bytes_of(2)));
    assert_eq!(cuMemFree_v2(x), 0);
    let new = card.room(bytes_of(2));
    assert_ne!(x, new, "an address is given out once");
    assert_eq!(cuMemFreeAsync(x, 0), 1);
    assert!(card.complaint().ends_with("freed twice"), "{}", card.complaint());
    assert_eq!(copy(&card, COPY, x, out, 2), 700);
    assert!(card.complaint().ends_with("memory that was freed"), "{}", card.complaint());
}

#[test]
fn outputs_may_not_lie_on_inputs() {
    let card = PretendedCard::new("", &[COPY]);
    let all = card.room(bytes_of(9));
    assert_eq!(copy(&card, COPY, all, all + 96, 4), 0, "{}", card.complaint());
    assert_eq!(copy(&card, COPY, all, all + 88, 4), 719);
    assert!(card.complaint().contains("overlaps x"), "{}", card.complaint());
}

#[test]
fn new_memory_is_not_a_number_and_strictly_not_read() {
    let card = PretendedCard::new("", &[COPY]);
    let (x, out) = (card.room(bytes_of(2)), card.room(bytes_of(2)));
    assert_eq!(copy(&card, COPY, x, out, 2), 0);
    assert!(card.read("f32", out, 5).iter().all(|value| value.is_nan()));
    drop(card);
    let card = PretendedCard::new("strict", &[COPY]);
    let (x, out) = (card.numbers("f32", &[1.0; 10]), card.room(bytes_of(2)));
    let more = card.room(bytes_of(2));
    assert_eq!(cuMemcpyDtoD_v2(more, x, 40), 0);
    assert_eq!(copy(&card, COPY, more, out, 2), 719);
    assert!(card.complaint().ends_with("x: number 4 of row 1 was never written"), "{}", card.complaint());
}

#[test]
fn aligned_variants_want_multiples_of_sixteen_and_all_want_their_numbers() {
    let aligned = "copy.f32.bf16.aligned";
    let arguments = |x: u64, out: u64, stride: usize| args![x: at x, out: at out, rows: 2, cols: 5, x_stride: stride, out_stride: 16];
    for (offset, stride, expected) in [(0, 16, 0), (8, 16, 716), (0, 8, 716), (16, 32, 0)] {
        let card = PretendedCard::new("", &[aligned]);
        let (x, out) = (card.room(256), card.room(256));
        let status = card.launch(aligned, [2, 1], &arguments(x + offset, out, stride));
        assert_eq!(status, expected, "{offset} {stride}: {}", card.complaint());
    }
    let card = PretendedCard::new("", &[COPY]);
    let (x, out) = (card.room(256), card.room(256));
    assert_eq!(copy(&card, COPY, x + 2, out, 2), 716);
    drop(card);
    let aligned = "attention.f32.pairs.32.aligned";
    for (head_dim, q_stride, expected) in [(8, 16, 0), (4, 16, 716), (8, 24, 716), (8, 1 << 23, 1)] {
        let card = PretendedCard::new("", &[aligned]);
        let [q, k, v, out, pairs] = [(); 5].map(|()| card.numbers("f32", &[1.0; 32]));
        let arguments = args![
            q: at q, k: at k, v: at v, out: at out, pairs: at pairs, queries: 1, keys: 1, head_dim: head_dim,
            q_stride: q_stride, k_stride: 16, v_stride: 16, out_stride: 16, pairs_stride: 3, scale: float 1.0
        ];
        assert_eq!(card.launch(aligned, [1, 2], &arguments), expected, "{head_dim} {q_stride}: {}", card.complaint());
    }
}

#[test]
fn launches_have_the_sizes_that_the_kernel_was_made_for() {
    let wide = "attention.f32.none.32";
    let card = PretendedCard::new("", &[COPY, wide]);
    let function = card.function(COPY, "sm_90a").unwrap();
    let (x, out) = (card.room(256), card.room(256));
    let arguments = args![x: at x, out: at out, rows: 2, cols: 9, x_stride: 9, out_stride: 9];
    let run = |grid, warps, shared| launch(COPY, function, grid, warps, shared, &arguments);
    assert_eq!(run([2, 2], WARPS, SHARED), 0, "{}", card.complaint());
    for (grid, warps, shared, problem) in [
        ([2, 1], WARPS, SHARED, "grid 2 x 1 x 1, expected 2 x 2 x 1"),
        ([3, 2], WARPS, SHARED, "grid 3 x 2 x 1, expected 2 x 2 x 1"),
        ([0, 2], WARPS, SHARED, "grid [0, 2, 1]"),
        ([2, 2], 8, SHARED, "block [256, 1, 1], expected 128 threads"),
        ([2, 2], WARPS, 0, "0 bytes of shared memory, expected 1024"),
    ] {
        assert_eq!(run(grid, warps, shared), 1, "{problem}");
        assert!(card.complaint().ends_with(problem), "{}", card.complaint());
    }
    let module = result(|out| cuModuleLoadData(out, from(&cubin(wide, "sm_90a")))).unwrap();
    let function = result(|out| cuModuleGetFunction(out, module, from(c"kernel".to_bytes_with_nul()))).unwrap();
    assert_eq!(launch(wide, function, [1, 1], WARPS, MUCH_SHARED, &[]), 1);
    assert!(card.complaint().ends_with("49152 are allowed: cuFuncSetAttribute"), "{}", card.complaint());
    assert_eq!(cuFuncSetAttribute(function, 8, 228 << 10), 1, "more than the card has");
    assert_eq!([cuModuleUnload(module), cuModuleUnload(module)], [0, 400]);
    assert_eq!(launch(wide, function, [1, 1], WARPS, MUCH_SHARED, &[]), 400, "its module is gone");
}

#[test]
fn arguments_are_what_the_kernel_takes() {
    let card = PretendedCard::new("", &["combine.f32.f32"]);
    let (x, y) = (card.numbers("f32", &[1.0; 8]), card.numbers("f32", &[1.0; 8]));
    for (how, rows, expected) in [(0, 2, 0), (2, 2, 1), (0, usize::MAX, 700)] {
        let arguments = args![
            y: at y, x: at x, rows: rows, cols: 4, y_stride: 4, x_stride: 4, how: how, factor: float 1.0
        ];
        assert_eq!(card.launch("combine.f32.f32", [2, 1], &arguments), expected, "{}", card.complaint());
    }
}

#[test]
fn modules_are_known_by_their_bytes() {
    for (settings, architecture, expected) in [
        ("", "sm_90a", 0),
        ("", "sm_80", 209),
        ("capability=8.9", "sm_80", 0),
        ("capability=8.9", "sm_90a", 209),
        ("capability=12.1", "sm_90a", 209),
        ("", "sm_120a", 200),
    ] {
        let card = PretendedCard::new(settings, &[COPY]);
        let found = result(|out| cuModuleLoadData(out, from(&cubin(COPY, architecture)))).err().unwrap_or(0);
        assert_eq!(found, expected, "{settings} {architecture}: {}", card.complaint());
    }
    let card = PretendedCard::new("capability=12.1", &[COPY]);
    let text = [ptx(COPY), vec![0]].concat();
    let module = result(|out| cuModuleLoadData(out, from(&text))).expect("PTX");
    assert_eq!(result(|out| cuModuleGetFunction(out, module, from(b"other\0"))), Err(500));
    assert!(card.complaint().ends_with("copy.f32.f32 has kernel, not other"), "{}", card.complaint());
}

#[test]
fn calls_fail_when_they_are_told_to() {
    let _card = PretendedCard::new("fail=cuMemAlloc:2@2+cuMemsetD8Async:719@1,missing=cuMemAllocAsync", &[]);
    let room = || result(|out| cuMemAlloc_v2(out, 8));
    assert!(room().is_ok());
    assert_eq!(room(), Err(2));
    let address = room().expect("only the second one fails");
    assert_eq!(result(|out| cuMemAllocAsync(out, 8, 0)), Err(500));
    assert_eq!(cuMemsetD8Async(address, 0, 8, 0), 719);
    assert_eq!(room(), Err(719), "that one breaks the context");
}

#[test]
fn memory_ends() {
    let card = PretendedCard::new("memory=1MiB,used=256KiB", &[]);
    let info = || {
        let mut free = std::mem::MaybeUninit::uninit();
        let total = result(|out| cuMemGetInfo_v2(Some(&mut free), out)).unwrap();
        // SAFETY: written with the total.
        (unsafe { free.assume_init() }, total)
    };
    assert_eq!(info(), (768 << 10, 1 << 20));
    let address = card.room(512 << 10);
    assert_eq!(info(), (256 << 10, 1 << 20));
    assert_eq!(result(|out| cuMemAlloc_v2(out, (256 << 10) + 1)), Err(2));
    assert_eq!(cuMemFree_v2(address), 0);
    card.room(768 << 10);
    let report = card.report();
    assert_eq!((report.cards[0].live_bytes, report.cards[0].peak_bytes), (768 << 10, 768 << 10));
    drop(card);
    let card = PretendedCard::new("oom_after=100", &[]);
    card.room(60);
    assert_eq!(result(|out| cuMemAlloc_v2(out, 41)), Err(2));
    card.room(40);
}

#[test]
fn cards_have_their_own_memory_and_contexts() {
    let card = PretendedCard::new("cards=2,capability=9.0+8.6,name=First+Second,memory=1GiB+2GiB", &[COPY]);
    let x = card.room(256);
    let second = result(|out| cuDevicePrimaryCtxRetain(out, 1)).unwrap();
    assert_eq!(cuCtxSetCurrent(second), 0);
    assert_eq!(result(|out| cuCtxGetDevice(out)), Ok(1));
    let mut name = [0_u8; 7];
    assert_eq!(cuDeviceGetName(into(&mut name), 7, 1), 0);
    assert_eq!(CStr::from_bytes_until_nul(&name).unwrap(), c"Second");
    assert_eq!(result(|out| cuDeviceTotalMem_v2(out, 1)), Ok(2 << 30));
    let attribute = |which| result(|out| cuDeviceGetAttribute(out, which, 1)).unwrap();
    assert_eq!([75, 76, 97, 115].map(attribute), [8, 6, 99 << 10, 1]);
    assert_ne!(result(|out| cuDeviceGetUuid_v2(out, 0)), result(|out| cuDeviceGetUuid_v2(out, 1)));
    assert_eq!(cuMemsetD8_v2(x, 0, 8), 700);
    assert!(card.complaint().ends_with("memory of card 0, not of card 1"), "{}", card.complaint());
    assert_eq!([cuCtxSynchronize(), cuCtxSetCurrent(1), cuCtxSynchronize()], [700, 0, 0], "the first one works");
    assert_eq!(result(|out| cuDeviceGet(out, 2)), Err(101));
}

#[test]
fn nothing_works_before_its_time() {
    let alone = restart("", "{\"variants\":[]}").unwrap();
    assert_eq!(result(|out| cuDeviceGetCount(out)), Err(3));
    assert_eq!([cuInit(1), cuInit(0), cuCtxSynchronize(), cuCtxSetCurrent(1)], [1, 0, 201, 201]);
    assert_eq!(result(|out| cuDriverGetVersion(out)), Ok(13_000));
    drop(alone);
    let alone = restart("cards=0", "{\"variants\":[]}").unwrap();
    assert_eq!(cuInit(0), 100);
    drop(alone);
    let alone = restart("card=1", "{\"variants\":[]}").unwrap();
    assert_eq!(cuInit(0), 999, "settings that nobody understands");
    drop(alone);
    assert!(restart("", "{}").is_err());
}

#[test]
fn codes_have_names() {
    let _card = PretendedCard::new("", &[]);
    let name = result(|out| cuGetErrorName(700, out)).unwrap();
    // SAFETY: names are constants that end with a zero.
    assert_eq!(unsafe { CStr::from_ptr(name) }, c"CUDA_ERROR_ILLEGAL_ADDRESS");
    let text = result(|out| cuGetErrorString(2, out)).unwrap();
    // SAFETY: as above.
    assert_eq!(unsafe { CStr::from_ptr(text) }, c"out of memory");
    assert_eq!(result(|out| cuGetErrorString(12_345, out)), Err(1));
}

#[test]
fn late_failures_are_told_by_the_next_call() {
    let card = PretendedCard::new("late", &[COPY]);
    let out = card.room(256);
    assert_eq!(copy(&card, COPY, 12, out, 2), 0);
    assert_eq!(cuCtxSynchronize(), 700);
}

#[test]
fn lazy_work_is_done_when_somebody_waits() {
    let card = PretendedCard::new("lazy", &[]);
    let address = card.room(64);
    let pinned = result(|out| cuMemHostAlloc(out, 64, 0)).unwrap();
    let pinned: *mut u8 = std::ptr::with_exposed_provenance_mut(pinned);
    // SAFETY: 64 bytes that the driver just allocated; it copies them later.
    let (bytes, pointer) = unsafe { (std::slice::from_raw_parts_mut(pinned, 64), HostPointer::new(pinned)) };
    let mut own = [1_u8; 64];
    let (stream, event) = (result(|out| cuStreamCreate(out, 1)).unwrap(), result(|out| cuEventCreate(out, 2)).unwrap());

    bytes.fill(1);
    assert_eq!(cuMemcpyHtoDAsync_v2(address, pointer, 64, stream), 0);
    bytes.fill(2);
    assert_eq!([cuEventRecord(event, stream), cuEventQuery(event), cuEventQuery(event)], [0, 600, 0]);
    assert_eq!(card.download(address, 64), [2; 64], "the copy saw what was written after it was asked for");

    assert_eq!(cuMemcpyHtoDAsync_v2(address, from(&own), 64, stream), 0);
    own.fill(3);
    assert_eq!(cuStreamSynchronize(stream), 0);
    assert_eq!(card.download(address, 64), [1; 64], "memory that is not pinned is read at once");

    bytes.fill(4);
    assert_eq!(cuMemcpyDtoHAsync_v2(pointer, address, 64, stream), 0);
    assert_eq!(bytes[0], 4, "not there yet");
    assert_eq!(cuStreamSynchronize(stream), 0);
    assert_eq!(bytes, [1; 64]);

    assert_eq!(cuMemsetD8Async(address + 1, 0, 64, stream), 0, "nobody looked yet");
    assert_eq!([cuEventRecord(event, stream), cuEventSynchronize(event)], [0, 700]);
}

#[test]
fn pinned_memory_is_freed_after_the_card_is_done() {
    let card = PretendedCard::new("lazy", &[]);
    let address = card.room(8);
    let mut own = [7_u8; 8];
    assert_eq!(cuMemHostRegister_v2(into(&mut own), 8, 0), 0);
    assert_eq!(cuMemHostRegister_v2(into(&mut own[4..]), 2, 0), 712);
    assert_eq!(card.report().pinned_bytes, 8);
    assert_eq!(cuMemcpyHtoDAsync_v2(address, from(&own), 8, 0), 0);
    assert_eq!(cuMemHostUnregister(into(&mut own)), 0, "waits");
    own.fill(0);
    assert_eq!(card.download(address, 8), [7; 8]);
    assert_eq!([cuMemHostUnregister(into(&mut own)), cuMemFreeHost(into(&mut own))], [713, 1]);
}

#[test]
fn handles_live_until_they_are_destroyed() {
    let card = PretendedCard::new("", &[]);
    let stream = result(|out| cuStreamCreateWithPriority(out, 0, -1)).unwrap();
    let [start, end, untimed] = [0, 0, 2].map(|flags| result(|out| cuEventCreate(out, flags)).unwrap());
    assert_eq!(result(|out| cuEventElapsedTime(out, start, end)), Err(400), "not recorded");
    assert_eq!([cuEventRecord(start, stream), cuEventRecord(end, stream), cuEventRecord(untimed, stream)], [0; 3]);
    assert!(result(|out| cuEventElapsedTime(out, start, end)).unwrap() >= 0.0);
    assert_eq!(result(|out| cuEventElapsedTime_v2(out, start, untimed)), Err(400));
    assert_eq!(cuStreamWaitEvent(stream, end, 0), 0);
    assert_eq!([cuEventDestroy_v2(end), cuEventDestroy_v2(end), cuStreamWaitEvent(stream, end, 0)], [0, 400, 400]);
    assert_eq!([cuStreamDestroy_v2(stream), cuStreamDestroy_v2(stream), cuStreamSynchronize(stream)], [0, 400, 400]);
    assert_eq!((card.report().streams, card.report().events), (0, 2));
}

#[test]
fn rows_are_copied_between_pitches() {
    let card = PretendedCard::new("", &[]);
    let (from_card, to_card) = (card.upload(&(0..24).collect::<Vec<u8>>()), card.upload(&[0; 20]));
    let copy = RowsCopy {
        from_x: 1,
        from_y: 1,
        from_kind: 2,
        from_host: HostPointer::NULL,
        from_card,
        from_array: 0,
        from_pitch: 8,
        to_x: 2,
        to_y: 0,
        to_kind: 2,
        to_host: HostPointer::NULL,
        to_card,
        to_array: 0,
        to_pitch: 10,
        width: 3,
        height: 2,
    };
    assert_eq!(cuMemcpy2DAsync_v2(Some(&copy), 0), 0);
    assert_eq!(card.download(to_card, 20), [0, 0, 9, 10, 11, 0, 0, 0, 0, 0, 0, 0, 17, 18, 19, 0, 0, 0, 0, 0]);
}

#[test]
fn skipped_launches_run_nothing_but_are_counted() {
    let card = PretendedCard::new("skip_after=0", &[COPY]);
    let out = card.room(64);
    assert_eq!(copy(&card, COPY, 0, out, 2), 0);
    assert_eq!(card.download(out, 64), [0; 64]);
    let report = card.report();
    assert_eq!((report.launches[COPY], report.calls["cuLaunchKernel"], report.bytes_to_host), (1, 1, 64));
}

#[test]
fn what_is_not_pretended_is_refused() {
    let _card = PretendedCard::new("", &[]);
    assert_eq!([cuStreamBeginCapture_v2(), cuGraphLaunch(), cuLaunchKernelEx()], [801; 3]);
}
