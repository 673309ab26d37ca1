/* split.pml: driver and device over a split virtqueue of 2, with indices that wrap at 4: does either ever sleep through work? */

#define SIZE 2
#define WRAP 4

#define ENTRY 0           /* an entry of the available ring and what it leads to: the number of the buffer */
#define AVAILABLE 2       /* the available index */
#define ELEMENT 3         /* an element of the used ring: the number of the buffer */
#define USED 5            /* the used index */
#define DRIVER_WISH 6     /* used_event, or the flags of the available ring */
#define DEVICE_WISH 7     /* avail_event, or the flags of the used ring */
#define PLACES 8

#include "memory.pml"

#define NEXT(index) ((index + 1) % WRAP)

#ifdef EVENT_IDX
#ifdef WITHOUT_Wrap       /* not a fence, but what the comparison is for */
#define WANTED(wish, after, before) (after > wish && before <= wish)
#else
#define WANTED(wish, after, before) ((after + 2 * WRAP - wish - 1) % WRAP < (after + WRAP - before) % WRAP)
#endif
#define WISH(index) index
#else
#define WANTED(wish, after, before) (wish == 0)
#define WISH(index) 0
#endif

proctype Driver() {
    byte added, published, taken, seen, number;
    bool armed = true, woken;

    do
    :: (added + WRAP - taken) % WRAP < SIZE -> /* TryAdd */
        store(DRIVER, ENTRY + added % SIZE, added);
        added = NEXT(added)

    :: added != published -> /* Kick */
#ifdef WITHOUT_PublishAvailableIndex
        store(DRIVER, AVAILABLE, added);
#else
        put(DRIVER, AVAILABLE, added, true);
#endif
#ifndef WITHOUT_BetweenPublishAndWish
        fence(DRIVER);
#endif
        load(DRIVER, DEVICE_WISH, seen);
        if
        :: WANTED(seen, added, published) -> atomic { fence(DRIVER) -> kick = true }
        :: else
        fi;
        d_step { published = added; seen = 0 }

    :: published != taken -> /* TryTakeUsed */
#ifdef WITHOUT_ReadUsedIndex /* the processor has read the element before */
        load(DRIVER, ELEMENT + taken % SIZE, number);
        load(DRIVER, USED, seen);
#else
        load(DRIVER, USED, seen);
        load(DRIVER, ELEMENT + taken % SIZE, number);
#endif
        d_step {
            if
            :: seen != taken -> assert(number == taken); taken = NEXT(taken); armed = false
            :: else
            fi;
            woken = false;
            seen = 0;
            number = 0
        }

    :: published == added && taken != added && !armed -> /* TryEnableInterrupts */
        store(DRIVER, DRIVER_WISH, WISH(taken));
#ifndef WITHOUT_BetweenWishAndLook
        fence(DRIVER);
#endif
        load(DRIVER, USED, seen);
        d_step { armed = seen == taken; woken = false; seen = 0 }

    :: published == added && taken != added && armed && !woken -> /* sleeps */
        atomic { interrupt -> interrupt = false; woken = true };
        if
        :: true
        :: armed = false; /* DisableInterrupts */
#ifdef EVENT_IDX
            store(DRIVER, DRIVER_WISH, (taken + WRAP - 1) % WRAP)
#else
            store(DRIVER, DRIVER_WISH, 1)
#endif
        fi
    od
}

proctype Device() {
    byte popped, used, shown, seen, number;
    bool asleep;

    do
    :: !asleep -> /* looks */
#ifdef WITHOUT_DeviceReadsAvailableIndex
        load(DEVICE, ENTRY + popped % SIZE, number);
        load(DEVICE, AVAILABLE, seen);
#else
        load(DEVICE, AVAILABLE, seen);
        load(DEVICE, ENTRY + popped % SIZE, number);
#endif
        d_step {
            if
            :: seen != popped -> assert(number == popped); popped = NEXT(popped)
            :: else
            fi;
            seen = 0;
            number = 0
        }

    :: !asleep -> /* goes to sleep */
        store(DEVICE, DEVICE_WISH, WISH(popped));
#ifndef WITHOUT_DeviceBetweenWishAndLook
        fence(DEVICE);
#endif
        load(DEVICE, AVAILABLE, seen);
        d_step { asleep = seen == popped; seen = 0 }

    :: atomic { asleep && kick -> kick = false; asleep = false };
#ifndef EVENT_IDX
        if
        :: true
        :: store(DEVICE, DEVICE_WISH, 1)
        fi
#else
        skip
#endif

    :: used != popped ->
        store(DEVICE, ELEMENT + used % SIZE, used);
        used = NEXT(used)

    :: shown != used -> /* says what is used */
#ifdef WITHOUT_DevicePublishesUsedIndex
        store(DEVICE, USED, used);
#else
        put(DEVICE, USED, used, true);
#endif
#ifndef WITHOUT_DeviceBetweenUsedAndWish
        fence(DEVICE);
#endif
        load(DEVICE, DRIVER_WISH, seen);
        if
        :: WANTED(seen, used, shown) -> atomic { fence(DEVICE) -> interrupt = true }
        :: else
        fi;
        d_step { shown = used; seen = 0 }
    od
}

init { atomic { run Memory(DRIVER); run Memory(DEVICE); run Driver(); run Device() } }
