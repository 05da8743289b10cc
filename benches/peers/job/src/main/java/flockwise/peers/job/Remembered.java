package flockwise.peers.job;

import java.nio.ByteBuffer;
import java.util.Arrays;

/** The latest BOUND keys; the oldest is replaced first. */
final class Remembered {
    private static final int BOUND = 32;

    private long[] keys;
    private int count;
    /** The index that is replaced next once all slots are used. */
    private int oldest;

    Remembered() {
        keys = new long[2];
    }

    Remembered(Remembered other) {
        keys = other.keys.clone();
        count = other.count;
        oldest = other.oldest;
    }

    boolean contains(long key) {
        for (int at = 0; at < count; at++) {
            if (keys[at] == key) {
                return true;
            }
        }
        return false;
    }

    void add(long key) {
        if (count == BOUND) {
            keys[oldest] = key;
            oldest = (oldest + 1) % BOUND;
            return;
        }
        if (count == keys.length) {
            keys = Arrays.copyOf(keys, Math.min(2 * count, BOUND));
        }
        keys[count++] = key;
    }

    int bytes() {
        return 2 + 8 * count;
    }

    void write(ByteBuffer out) {
        out.put((byte) count).put((byte) oldest);
        for (int at = 0; at < count; at++) {
            out.putLong(keys[at]);
        }
    }

    Remembered(ByteBuffer in) {
        count = in.get();
        oldest = in.get();
        // Room for one more, since a key is usually added right after reading.
        keys = new long[Math.min(Math.max(count + 1, 2), BOUND)];
        for (int at = 0; at < count; at++) {
            keys[at] = in.getLong();
        }
    }
}
