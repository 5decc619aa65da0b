import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Java's HttpClient by its defaults. Arguments: the service's URL, an image, the URL of an image.
 * Prints the status of each way.
 */
public class Client {
    private static final HttpClient CLIENT = HttpClient.newHttpClient();

    public static void main(String[] arguments) throws Exception {
        URI url = URI.create(arguments[0]);
        Path file = Path.of(arguments[1]);
        String json = "{\"image_url\": \"" + arguments[2] + "\", \"version\": null}";
        System.out.printf(
            "{\"Java: file\": %d, \"Java: bytes\": %d, \"Java: JSON\": %d, \"Java: stream\": %d}%n",
            post(url, BodyPublishers.ofFile(file)),
            post(url, BodyPublishers.ofByteArray(Files.readAllBytes(file))),
            post(url, BodyPublishers.ofString(json)),
            post(url, BodyPublishers.ofInputStream(() -> open(file))));
    }

    private static int post(URI url, BodyPublisher body) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(url).POST(body).build();
        return CLIENT.send(request, BodyHandlers.ofString()).statusCode();
    }

    private static java.io.InputStream open(Path file) {
        try {
            return Files.newInputStream(file);
        } catch (java.io.IOException error) {
            throw new java.io.UncheckedIOException(error);
        }
    }
}
