/**
 * Has the C library keep the memory of large buffers that are freed, for the next ones of their kind.
 *
 * glibc takes a buffer above its threshold from the kernel and gives it back when it is freed: every page of the next
 * one is a page fault, which costs more than reading into it. The threshold rises to the size of the largest such
 * buffer that has been freed, and twice as much of freed memory is kept (mallopt(3), M_MMAP_THRESHOLD). So one large
 * buffer, never written to and freed at once, is enough. Other C libraries take no notice
 * (docs/decisions/freed-memory.md).
 */
const THRESHOLD_BYTES = 16 * 1024 * 1024

let isKept = false

export function keepFreedMemory(): void {
  if (isKept) return
  isKept = true
  // Moving it to a shorter buffer frees it now, not with some collection.
  new ArrayBuffer(THRESHOLD_BYTES).transfer(0)
}
