// JDBC by way of pgbearer proxy: java -cp postgresql.jar Jdbc.java
//
// The driver has no Unix sockets: the proxy listens on the loopback for it, and the driver finds the password of this
// run in the file that PGPASSFILE names.

import java.io.StringReader;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import org.postgresql.PGConnection;

public class Jdbc {
    public static void main(String[] arguments) throws Exception {
        var where = "jdbc:postgresql://%s:%s/%s?user=%s";
        var url = where.formatted(env("PGHOST"), env("PGPORT"), env("PGDATABASE"), env("PGUSER"));
        try (var connection = DriverManager.getConnection(url)) {
            System.out.printf("{%s, \"sum\": %d, \"copied\": %d, \"cancelled\": %b, \"after\": %d}%n",
                who(connection), sum(connection, 40, 2), copied(connection), cancelled(connection), sum(connection, 1, 1));
        }
    }

    static String who(Connection connection) throws SQLException {
        try (var statement = connection.createStatement();
             var rows = statement.executeQuery("SELECT system_user, current_user")) {
            rows.next();
            return "\"system_user\": \"%s\", \"current_user\": \"%s\"".formatted(rows.getString(1), rows.getString(2));
        }
    }

    static int sum(Connection connection, int one, int other) throws SQLException {
        try (var statement = connection.prepareStatement("SELECT ?::int + ?::int")) {
            statement.setInt(1, one);
            statement.setInt(2, other);
            var rows = statement.executeQuery();
            rows.next();
            return rows.getInt(1);
        }
    }

    static long copied(Connection connection) throws Exception {
        try (var statement = connection.createStatement()) {
            statement.execute("CREATE TEMPORARY TABLE numbers (number int)");
        }
        var copy = connection.unwrap(PGConnection.class).getCopyAPI();
        return copy.copyIn("COPY numbers FROM STDIN", new StringReader("1\n2\n3\n"));
    }

    static boolean cancelled(Connection connection) throws SQLException {
        try (var statement = connection.createStatement()) {
            statement.setQueryTimeout(1);  // seconds; then the driver sends a cancel request
            statement.execute("SELECT pg_sleep(600)");
            return false;
        } catch (SQLException error) {
            return error.getSQLState().equals("57014");
        }
    }

    static String env(String name) {
        return System.getenv().getOrDefault(name, "");
    }
}
