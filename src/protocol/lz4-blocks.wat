;; Writes LZ4 blocks: the content in pieces of 64 KiB, each independent of the others, each after its size.
;; `node tools/assemble-lz4.ts` makes lz4-blocks.ts of it.
;;
;;     memory   | 0 table: 8,192 places of 16 bits | 16,384 content | 8 of slack | blocks | 8 of slack |
;;     block    | size u32, top bit: stored plain | sequence | sequence | ... |
;;     sequence | token | more literals | literals | distance u16 | more match |
;;
;; A place in the table is where in its block five bytes with this hash were seen last. 0, the block's first byte,
;; stands for "nowhere" too, since what is found is always compared. The format wants the last 5 bytes of a block to
;; be literals and no match to begin in its last 12: so eight bytes can be read wherever a match is looked for.
;;
;; Nothing is checked against the end of the memory: a block of n bytes takes n + n / 255 + 16 at most.
(module
  (memory (export "memory") 1)

  ;; Where in the table the five bytes at the pointer belong.
  (func $slot (param $bytes i64) (result i32)
    (i32.wrap_i64
      (i64.shl
        (i64.shr_u (i64.mul (i64.shl (local.get $bytes) (i64.const 24)) (i64.const 889523592379)) (i64.const 51))
        (i64.const 1))))

  ;; A length beyond the 15 of the token: 255 as often as it goes, then the rest.
  (func $length (param $out i32) (param $left i32) (result i32)
    (loop $more
      (if (i32.ge_u (local.get $left) (i32.const 255))
        (then
          (i32.store8 (local.get $out) (i32.const 255))
          (local.set $out (i32.add (local.get $out) (i32.const 1)))
          (local.set $left (i32.sub (local.get $left) (i32.const 255)))
          (br $more))))
    (i32.store8 (local.get $out) (local.get $left))
    (i32.add (local.get $out) (i32.const 1)))

  ;; Writes the sequences of the block from $from to $end, and returns where they end.
  (func $sequences (param $from i32) (param $end i32) (param $out i32) (result i32)
    (local $at i32) (local $anchor i32) (local $seen i32) (local $slot i32) (local $token i32) (local $bits i32)
    (local $count i32) (local $misses i32) (local $last i32) (local $stop i32) (local $source i32) (local $to i32)
    (local $bytes i64)
    (local.set $anchor (local.get $from))
    (local.set $last (i32.sub (local.get $end) (i32.const 12)))
    (local.set $stop (i32.sub (local.get $end) (i32.const 5)))
    (block $rest
      (br_if $rest (i32.lt_u (i32.sub (local.get $end) (local.get $from)) (i32.const 13)))
      (memory.fill (i32.const 0) (i32.const 0) (i32.const 16384))
      (local.set $at (i32.add (local.get $from) (i32.const 1)))
      (loop $match
        ;; The longer nothing is found, the larger the steps: what cannot be compressed is passed over.
        (local.set $misses (i32.const 64))
        (block $found
          (loop $search
            (br_if $rest (i32.gt_u (local.get $at) (local.get $last)))
            (local.set $bytes (i64.load align=1 (local.get $at)))
            (local.set $slot (call $slot (local.get $bytes)))
            (local.set $seen (i32.add (local.get $from) (i32.load16_u (local.get $slot))))
            (i32.store16 (local.get $slot) (i32.sub (local.get $at) (local.get $from)))
            (br_if $found
              (i32.eq (i32.load align=1 (local.get $seen)) (i32.wrap_i64 (local.get $bytes))))
            (local.set $at (i32.add (local.get $at) (i32.shr_u (local.get $misses) (i32.const 6))))
            (local.set $misses (i32.add (local.get $misses) (i32.const 1)))
            (br $search)))
        ;; The match may begin earlier.
        (block $begun
          (loop $back
            (br_if $begun (i32.le_u (local.get $at) (local.get $anchor)))
            (br_if $begun (i32.le_u (local.get $seen) (local.get $from)))
            (br_if $begun
              (i32.ne
                (i32.load8_u (i32.sub (local.get $at) (i32.const 1)))
                (i32.load8_u (i32.sub (local.get $seen) (i32.const 1)))))
            (local.set $at (i32.sub (local.get $at) (i32.const 1)))
            (local.set $seen (i32.sub (local.get $seen) (i32.const 1)))
            (br $back)))
        ;; Literals, eight at a time: what is written too much is written over.
        (local.set $token (local.get $out))
        (local.set $out (i32.add (local.get $out) (i32.const 1)))
        (local.set $count (i32.sub (local.get $at) (local.get $anchor)))
        (if (i32.ge_u (local.get $count) (i32.const 15))
          (then
            (local.set $bits (i32.const 0xf0))
            (local.set $out (call $length (local.get $out) (i32.sub (local.get $count) (i32.const 15)))))
          (else (local.set $bits (i32.shl (local.get $count) (i32.const 4)))))
        (local.set $source (local.get $anchor))
        (local.set $to (local.get $out))
        (local.set $out (i32.add (local.get $out) (local.get $count)))
        (loop $copy
          (i64.store align=1 (local.get $to) (i64.load align=1 (local.get $source)))
          (local.set $to (i32.add (local.get $to) (i32.const 8)))
          (local.set $source (i32.add (local.get $source) (i32.const 8)))
          (br_if $copy (i32.lt_u (local.get $to) (local.get $out))))
        (i32.store16 align=1 (local.get $out) (i32.sub (local.get $at) (local.get $seen)))
        (local.set $out (i32.add (local.get $out) (i32.const 2)))
        ;; How far it goes: eight bytes at a time, the first that differs by counting zeros.
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (local.set $seen (i32.add (local.get $seen) (i32.const 4)))
        (local.set $count (local.get $at))
        (block $ended
          (loop $compare
            (if (i32.le_u (i32.add (local.get $at) (i32.const 8)) (local.get $stop))
              (then
                (local.set $bytes
                  (i64.xor (i64.load align=1 (local.get $at)) (i64.load align=1 (local.get $seen))))
                (if (i64.ne (local.get $bytes) (i64.const 0))
                  (then
                    (local.set $at
                      (i32.add
                        (local.get $at)
                        (i32.wrap_i64 (i64.shr_u (i64.ctz (local.get $bytes)) (i64.const 3)))))
                    (br $ended)))
                (local.set $at (i32.add (local.get $at) (i32.const 8)))
                (local.set $seen (i32.add (local.get $seen) (i32.const 8)))
                (br $compare))))
          (loop $compare-one
            (br_if $ended (i32.ge_u (local.get $at) (local.get $stop)))
            (br_if $ended (i32.ne (i32.load8_u (local.get $at)) (i32.load8_u (local.get $seen))))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (local.set $seen (i32.add (local.get $seen) (i32.const 1)))
            (br $compare-one)))
        (local.set $count (i32.sub (local.get $at) (local.get $count)))
        (if (i32.ge_u (local.get $count) (i32.const 15))
          (then
            (local.set $bits (i32.or (local.get $bits) (i32.const 15)))
            (local.set $out (call $length (local.get $out) (i32.sub (local.get $count) (i32.const 15)))))
          (else (local.set $bits (i32.or (local.get $bits) (local.get $count)))))
        (i32.store8 (local.get $token) (local.get $bits))
        (local.set $anchor (local.get $at))
        (br_if $rest (i32.gt_u (local.get $at) (local.get $last)))
        (local.set $count (i32.sub (local.get $at) (i32.const 2)))
        (i32.store16
          (call $slot (i64.load align=1 (local.get $count)))
          (i32.sub (local.get $count) (local.get $from)))
        (br $match)))
    (local.set $count (i32.sub (local.get $end) (local.get $anchor)))
    (local.set $token (local.get $out))
    (local.set $out (i32.add (local.get $out) (i32.const 1)))
    (if (i32.ge_u (local.get $count) (i32.const 15))
      (then
        (i32.store8 (local.get $token) (i32.const 0xf0))
        (local.set $out (call $length (local.get $out) (i32.sub (local.get $count) (i32.const 15)))))
      (else (i32.store8 (local.get $token) (i32.shl (local.get $count) (i32.const 4)))))
    (memory.copy (local.get $out) (local.get $anchor) (local.get $count))
    (i32.add (local.get $out) (local.get $count)))

  ;; Writes the content from $from to $end as blocks, and returns where they end.
  (func (export "blocks") (param $from i32) (param $end i32) (param $out i32) (result i32)
    (local $stop i32) (local $plain i32) (local $packed i32)
    (loop $next
      (if (i32.lt_u (local.get $from) (local.get $end))
        (then
          (local.set $plain (i32.sub (local.get $end) (local.get $from)))
          (if (i32.gt_u (local.get $plain) (i32.const 65536)) (then (local.set $plain (i32.const 65536))))
          (local.set $stop (i32.add (local.get $from) (local.get $plain)))
          (local.set $packed
            (i32.sub
              (call $sequences (local.get $from) (local.get $stop) (i32.add (local.get $out) (i32.const 4)))
              (i32.add (local.get $out) (i32.const 4))))
          (if (i32.lt_u (local.get $packed) (local.get $plain))
            (then (i32.store align=1 (local.get $out) (local.get $packed)))
            (else
              (local.set $packed (local.get $plain))
              (i32.store align=1 (local.get $out) (i32.or (local.get $plain) (i32.const 0x80000000)))
              (memory.copy (i32.add (local.get $out) (i32.const 4)) (local.get $from) (local.get $plain))))
          (local.set $out (i32.add (local.get $out) (i32.add (local.get $packed) (i32.const 4))))
          (local.set $from (local.get $stop))
          (br $next))))
    (local.get $out)))
