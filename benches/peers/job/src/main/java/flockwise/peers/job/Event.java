package flockwise.peers.job;

/** What the job needs of an event: flat and small, since it is passed on between operators. */
public final class Event {
    /** The event names that features count, in their order. */
    public static final int PRODUCT_VIEWED = 0;
    public static final int PAGE_VIEWED = 1;
    public static final int PRODUCT_ADDED = 2;
    public static final int PRODUCTS_SEARCHED = 3;
    public static final int ORDER_COMPLETED = 4;
    public static final int OTHER = -1;

    public String customerId;
    public int name = OTHER;
    public long timeMs;
    /** Hash of its id; 0 where it has none. */
    public long id;
    /** Hash of its name and the order that it is about; 0 where there is none. */
    public long order;
    /** NaN where there is none. */
    public double revenue = Double.NaN;
    public boolean isToys;
    /** Where it was read. */
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
