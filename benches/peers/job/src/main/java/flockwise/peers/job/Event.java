package flockwise.peers.job;

/** The fields of an event that the job needs. Flat and small, since it is passed between operators. */
public final class Event {
    /** The event names that features count, in order of the features. */
    public static final int PRODUCT_VIEWED = 0;
    public static final int PAGE_VIEWED = 1;
    public static final int PRODUCT_ADDED = 2;
    public static final int PRODUCTS_SEARCHED = 3;
    public static final int ORDER_COMPLETED = 4;
    public static final int OTHER = -1;

    public String customerId;
    public int name = OTHER;
    public long timeMs;
    /** Hash of its id; 0 if it has none. */
    public long id;
    /** Hash of its name and order id; 0 if it has no order id. */
    public long order;
    /** NaN if there is none. */
    public double revenue = Double.NaN;
    public boolean isToys;
    /** Partition and offset that it was read from. */
    public int partition;
    public long offset;

    static int name(String name) {
        return switch (name) {
            case "Product Viewed" -> PRODUCT_VIEWED;
            case "Page Viewed" -> PAGE_VIEWED;
            case "Product Added" -> PRODUCT_ADDED;
            case "Products Searched" -> PRODUCTS_SEARCHED;
            case "Order Completed" -> ORDER_COMPLETED;
            default -> OTHER;
        };
    }
}
