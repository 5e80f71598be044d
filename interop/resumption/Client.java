import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStreamReader;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.KeyStore;
import java.security.Principal;
import java.security.PrivateKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import javax.net.ssl.KeyManager;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedKeyManager;

/** Java's HttpClient with one SSLContext, whose session cache outlives the client's certificate. Reads from its input `show FILE.p12`,
 * `ask N` (each by a connection of its own) and `keep N` (by one client), and prints a line of statuses for each. */
public class Client {
    static final char[] PASSWORD = "changeit".toCharArray();
    static volatile PrivateKey key;
    static volatile X509Certificate[] chain;

    static class Shown extends X509ExtendedKeyManager {
        private String alias() { return key == null ? null : "shown"; }
        @Override public String[] getClientAliases(String type, Principal[] issuers) { return key == null ? null : new String[] {"shown"}; }
        @Override public String chooseClientAlias(String[] types, Principal[] issuers, Socket socket) { return alias(); }
        @Override public String chooseEngineClientAlias(String[] types, Principal[] issuers, SSLEngine engine) { return alias(); }
        @Override public String[] getServerAliases(String type, Principal[] issuers) { return null; }
        @Override public String chooseServerAlias(String type, Principal[] issuers, Socket socket) { return null; }
        @Override public X509Certificate[] getCertificateChain(String alias) { return chain; }
        @Override public PrivateKey getPrivateKey(String alias) { return key; }
    }

    static void show(String file) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (FileInputStream in = new FileInputStream(file)) { store.load(in, PASSWORD); }
        String alias = store.aliases().nextElement();
        chain = new X509Certificate[] {(X509Certificate) store.getCertificate(alias)};
        key = (PrivateKey) store.getKey(alias, PASSWORD);
    }

    static HttpClient client(SSLContext context) {
        return HttpClient.newBuilder().sslContext(context).version(HttpClient.Version.HTTP_1_1).build();
    }

    static int ask(HttpClient client, String url) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(url)).build();
        return client.send(request, HttpResponse.BodyHandlers.discarding()).statusCode();
    }

    public static void main(String[] args) throws Exception {
        String url = args[0];
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        try (FileInputStream in = new FileInputStream(args[1])) {
            trusted.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(new KeyManager[] {new Shown()}, trust.getTrustManagers(), null);
        HttpClient kept = client(context);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = in.readLine()) != null; ) {
            String[] words = line.split(" ");
            StringBuilder out = new StringBuilder();
            if (words[0].equals("show")) {
                show(words[1]);
                out.append("shown ");
            } else {
                for (int i = 0; i < Integer.parseInt(words[1]); i++) {
                    out.append(ask(words[0].equals("keep") ? kept : client(context), url)).append(' ');
                }
            }
            System.out.println(out.toString().trim());
            System.out.flush();
        }
    }
}
