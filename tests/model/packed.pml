/* packed.pml: driver and device over a packed virtqueue, buffers of one or two descriptors: does either ever sleep through work? */

/* Two descriptors and all there is, or three and less: single descriptors, one buffer in the device, wishes never taken back. */
#ifdef THREE
#define SIZE 3
#define LONGEST 1
#else
#define SIZE 2
#define LONGEST 2
#endif

#define FLAGS 0           /* for each descriptor: AVAIL, USED, NEXT */
#define BODY SIZE         /* for each descriptor: all the rest of it: who wrote it, and in which round */
#define DRIVER_WISH (2 * SIZE)
#define DEVICE_PLACE (2 * SIZE + 1) /* the device may write its wish in two halves, in any order; the driver reads it whole */
#define DEVICE_MODE (2 * SIZE + 2)
#define PLACES (2 * SIZE + 3)

#include "memory.pml"

#define CHAINED 4
#define STATE(flags) (flags & 3)
#define AVAILABLE(wrap) (2 - wrap) /* AVAIL = wrap counter, USED = its inverse */
#define USED(wrap) (3 * wrap)
#define BY_DRIVER(wrap) (2 + wrap)
#define BY_DEVICE(wrap) (4 + wrap)

/* A wish is mode * 16 + place; a place is wrap counter * 8 + offset. */
#define ENABLE 0
#define DISABLE 1
#define DESCRIPTOR 2
#ifdef EVENT_IDX
#define WISH_MODE DESCRIPTOR
#define WISH_PLACE(wrap, at) (wrap * 8 + at)
#else
#define WISH_MODE ENABLE
#define WISH_PLACE(wrap, at) 0
#endif

/* How far behind the last descriptor lies the one that is waited for? */
#ifdef WITHOUT_Wrap       /* not a fence, but what the wrap counter is for */
#define BEHIND(place, wrap, at) (at - 1 - (place & 7))
#else
#define BEHIND(place, wrap, at) (at - 1 - (place & 7) + (((place >> 3) != wrap) -> SIZE : 0))
#endif
#define WANTED(mode, place, wrap, at, count) \
    (mode == ENABLE || mode == DESCRIPTOR && BEHIND(place, wrap, at) >= 0 && BEHIND(place, wrap, at) < count)

#define AFTER(at) ((at + 1) % SIZE)
#define WRAP_AFTER(at, wrap) (wrap ^ (at == SIZE - 1))

inline step(at, wrap, count) {
    if
    :: at + count >= SIZE -> at = at + count - SIZE; wrap = !wrap
    :: else -> at = at + count
    fi
}

proctype Driver() {
    byte next, used, free = SIZE, untold, flags, body, count;
    byte lengths[SIZE];   /* of the buffers in flight, by where they begin */
    bool wrap = true, usedWrap = true, armed = true, woken;

    do
    :: free > 0 -> /* TryAdd, perhaps more than once, and Kick */
        do
        :: free > 0 ->
            if
            :: count = 1
            :: free > 1 && LONGEST > 1 -> count = 2;
                store(DRIVER, BODY + AFTER(next), BY_DRIVER(WRAP_AFTER(next, wrap)));
                store(DRIVER, FLAGS + AFTER(next), AVAILABLE(WRAP_AFTER(next, wrap)))
            fi;
            store(DRIVER, BODY + next, BY_DRIVER(wrap));
#ifdef WITHOUT_PublishDescriptor
            store(DRIVER, FLAGS + next, AVAILABLE(wrap) + (count - 1) * CHAINED);
#else
            put(DRIVER, FLAGS + next, AVAILABLE(wrap) + (count - 1) * CHAINED, true);
#endif
            d_step {
                lengths[next] = count;
                step(next, wrap, count);
                free = free - count;
                untold = untold + count;
                count = 0
            }
        :: untold > 0 -> break
        od;
#ifndef WITHOUT_BetweenPublishAndWish
        fence(DRIVER);
#endif
        atomic { flags = memory[DEVICE_MODE] * 16 + memory[DEVICE_PLACE] };
        if
        :: WANTED((flags >> 4), (flags & 15), wrap, next, untold) -> atomic { fence(DRIVER) -> kick = true }
        :: else
        fi;
        d_step { untold = 0; flags = 0 }

    :: free < SIZE -> /* TryTakeUsed */
#ifdef WITHOUT_ReadDescriptorFlags /* the processor has read the rest before */
        load(DRIVER, BODY + used, body);
        load(DRIVER, FLAGS + used, flags);
#else
        load(DRIVER, FLAGS + used, flags);
        load(DRIVER, BODY + used, body);
#endif
        d_step {
            if
            :: STATE(flags) == USED(usedWrap) ->
                assert(body == BY_DEVICE(usedWrap));
                count = lengths[used];
                lengths[used] = 0;
                free = free + count;
                step(used, usedWrap, count);
                count = 0;
                armed = false
            :: else -> assert(STATE(flags) == AVAILABLE(usedWrap)) /* NothingUsed breaks the queue otherwise */
            fi;
            woken = false;
            flags = 0;
            body = 0
        }

    :: untold == 0 && free < SIZE && !armed -> /* TryEnableInterrupts */
        store(DRIVER, DRIVER_WISH, WISH_MODE * 16 + WISH_PLACE(usedWrap, used));
#ifndef WITHOUT_BetweenWishAndLook
        fence(DRIVER);
#endif
        atomic {
            load(DRIVER, FLAGS + used, flags);
            armed = STATE(flags) != USED(usedWrap);
            woken = false;
            flags = 0
        }

    :: untold == 0 && free < SIZE && armed && !woken -> /* sleeps */
        atomic { interrupt -> interrupt = false; woken = true };
        if
        :: true
        :: SIZE < 3 -> armed = false; /* DisableInterrupts */
            store(DRIVER, DRIVER_WISH, DISABLE * 16)
        fi
    od
}

proctype Device() {
    byte next, used, untold, flags, body, other, count, popped;
    byte lengths[SIZE];
    bool wrap = true, usedWrap = true, asleep;

    do
    :: !asleep && (SIZE < 3 || popped == 0) -> /* looks */
#ifdef WITHOUT_DeviceReadsFlags
        load(DEVICE, BODY + next, body);
        load(DEVICE, FLAGS + next, flags);
#else
        load(DEVICE, FLAGS + next, flags);
        load(DEVICE, BODY + next, body);
#endif
        load(DEVICE, BODY + AFTER(next), other);
        d_step {
            if
            :: STATE(flags) == AVAILABLE(wrap) ->
                assert(body == BY_DRIVER(wrap));
                count = 1 + (flags >> 2);
                assert(count == 1 || other == BY_DRIVER(WRAP_AFTER(next, wrap)));
                lengths[next] = count;
                popped = popped + count;
                step(next, wrap, count);
                count = 0
            :: else
            fi;
            flags = 0;
            body = 0;
            other = 0
        }

    :: !asleep -> /* goes to sleep */
        store(DEVICE, DEVICE_PLACE, WISH_PLACE(wrap, next));
        store(DEVICE, DEVICE_MODE, WISH_MODE);
#ifndef WITHOUT_DeviceBetweenWishAndLook
        fence(DEVICE);
#endif
        atomic {
            load(DEVICE, FLAGS + next, flags);
            asleep = STATE(flags) != AVAILABLE(wrap);
            flags = 0
        }

    :: atomic { asleep && kick -> kick = false; asleep = false };
        if
        :: true
        :: SIZE < 3 -> store(DEVICE, DEVICE_MODE, DISABLE)
        fi

    :: popped > 0 -> /* uses the oldest buffer, perhaps more, and says so */
        do
        :: popped > 0 ->
            store(DEVICE, BODY + used, BY_DEVICE(usedWrap));
#ifdef WITHOUT_DevicePublishesFlags
            store(DEVICE, FLAGS + used, USED(usedWrap));
#else
            put(DEVICE, FLAGS + used, USED(usedWrap), true);
#endif
            d_step {
                count = lengths[used];
                lengths[used] = 0;
                popped = popped - count;
                untold = untold + count;
                step(used, usedWrap, count);
                count = 0
            }
        :: untold > 0 -> break
        od;
#ifndef WITHOUT_DeviceBetweenUsedAndWish
        fence(DEVICE);
#endif
        load(DEVICE, DRIVER_WISH, flags);
        if
        :: WANTED((flags >> 4), (flags & 15), usedWrap, used, untold) -> atomic { fence(DEVICE) -> interrupt = true }
        :: else
        fi;
        d_step { untold = 0; flags = 0 }
    od
}

init { atomic { run Memory(DRIVER); run Memory(DEVICE); run Driver(); run Device() } }
