import psycopg


def test_smoke(database_url):
    with psycopg.connect(database_url) as c:
        print(
            c.execute(
                "select version(), current_database(), pg_encoding_to_char(encoding), datcollate from pg_database where datname=current_database()"
            ).fetchone()
        )
