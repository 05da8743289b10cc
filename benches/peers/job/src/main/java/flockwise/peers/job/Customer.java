package flockwise.peers.job;

import java.nio.ByteBuffer;

/** The state of one customer: decaying sums as of its latest event, segment and sequence. */
public final class Customer {
    /** Offsets of the columns: five counts and the revenue over 7 days, the same over 30, orders over 90. */
    private static final int DAYS_7 = 0, DAYS_30 = 6, DAYS_90 = 12;
    private static final int REVENUE = 5;
    private static final int VIEWED_MS = 13, BASKETS = 14, ORDERS = 15, TOYS = 16, ALL = 17;
    private static final int COLUMNS = 18;

    static final int FEATURES = 16;
    private static final double DAY_MS = 86_400_000.0;
    private static final double LN_2 = Math.log(2.0);
    private static final double NEVER_VIEWED_DAYS = 90.0;

    private final double[] columns;
    private long latestMs = Long.MIN_VALUE;
    private final Remembered ids;
    private final Remembered orders;
    /** 0 if it has none yet. */
    int segment;
    int sequence;

    public Customer() {
        columns = new double[COLUMNS];
        columns[VIEWED_MS] = Double.NEGATIVE_INFINITY;
        ids = new Remembered();
        orders = new Remembered();
    }

    public Customer(Customer other) {
        columns = other.columns.clone();
        latestMs = other.latestMs;
        ids = new Remembered(other.ids);
        orders = new Remembered(other.orders);
        segment = other.segment;
        sequence = other.sequence;
    }

    public long latestMs() {
        return latestMs;
    }

    /** Adds an event. Returns false, without a change, if it is a duplicate. */
    public boolean observe(Event event) {
        if (isRepeated(event)) {
            return false;
        }
        moveOn(event.timeMs);
        add(event, latestMs - event.timeMs);
        return true;
    }

    private boolean isRepeated(Event event) {
        boolean repeated =
                event.order != 0 && orders.contains(event.order) || event.id != 0 && ids.contains(event.id);
        if (repeated) {
            return true;
        }
        if (event.order != 0) {
            orders.add(event.order);
        }
        if (event.id != 0) {
            ids.add(event.id);
        }
        return false;
    }

    private void moveOn(long timeMs) {
        if (timeMs <= latestMs) {
            return;
        }
        if (latestMs != Long.MIN_VALUE) {
            long elapsedMs = timeMs - latestMs;
            decay(DAYS_7, DAYS_30, weight(elapsedMs, 7));
            decay(DAYS_30, DAYS_90, weight(elapsedMs, 30));
            decay(DAYS_90, DAYS_90 + 1, weight(elapsedMs, 90));
        }
        latestMs = timeMs;
    }

    private void decay(int from, int to, double factor) {
        for (int at = from; at < to; at++) {
            columns[at] *= factor;
        }
    }

    private static double weight(long ageMs, double halfLifeDays) {
        return ageMs == 0 ? 1.0 : Math.exp(-LN_2 * ageMs / (halfLifeDays * DAY_MS));
    }

    private void add(Event event, long ageMs) {
        columns[ALL] += 1;
        if (event.isToys) {
            columns[TOYS] += 1;
        }
        if (event.name == Event.OTHER) {
            return;
        }
        double weight7 = weight(ageMs, 7), weight30 = weight(ageMs, 30);
        columns[DAYS_7 + event.name] += weight7;
        columns[DAYS_30 + event.name] += weight30;
        if (event.name == Event.PRODUCT_VIEWED) {
            columns[VIEWED_MS] = Math.max(columns[VIEWED_MS], event.timeMs);
        }
        if (event.name == Event.ORDER_COMPLETED) {
            columns[DAYS_90] += weight(ageMs, 90);
            if (!Double.isNaN(event.revenue)) {
                columns[DAYS_7 + REVENUE] += weight7 * event.revenue;
                columns[DAYS_30 + REVENUE] += weight30 * event.revenue;
                columns[BASKETS] += event.revenue;
                columns[ORDERS] += 1;
            }
        }
    }

    /** The features as of the latest event, in their own units and in the order of the model. */
    void features(double[] raw) {
        System.arraycopy(columns, DAYS_7, raw, 0, 5);
        System.arraycopy(columns, DAYS_30, raw, 5, 5);
        raw[10] = columns[DAYS_7 + REVENUE];
        raw[11] = columns[DAYS_30 + REVENUE];
        raw[12] = columns[DAYS_90];
        boolean isViewed = columns[VIEWED_MS] > Double.NEGATIVE_INFINITY;
        raw[13] = isViewed ? (latestMs - columns[VIEWED_MS]) / DAY_MS : NEVER_VIEWED_DAYS;
        raw[14] = columns[ORDERS] > 0 ? columns[BASKETS] / columns[ORDERS] : 0;
        raw[15] = columns[ALL] > 0 ? columns[TOYS] / columns[ALL] : 0;
    }

    public byte[] toBytes() {
        ByteBuffer out = ByteBuffer.allocate(16 + 8 * COLUMNS + ids.bytes() + orders.bytes());
        out.putLong(latestMs).putInt(segment).putInt(sequence);
        for (double column : columns) {
            out.putDouble(column);
        }
        ids.write(out);
        orders.write(out);
        return out.array();
    }

    public static Customer fromBytes(byte[] bytes) {
        return new Customer(ByteBuffer.wrap(bytes));
    }

    private Customer(ByteBuffer in) {
        latestMs = in.getLong();
        segment = in.getInt();
        sequence = in.getInt();
        columns = new double[COLUMNS];
        for (int at = 0; at < COLUMNS; at++) {
            columns[at] = in.getDouble();
        }
        ids = new Remembered(in);
        orders = new Remembered(in);
    }
}
