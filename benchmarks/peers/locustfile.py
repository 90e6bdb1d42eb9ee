"""The mix of the benchmark for Locust: two endpoints, 6 to 2, one with a random path."""

from random import randint

from locust import FastHttpUser, constant, task


class Shopper(FastHttpUser):
    wait_time = constant(0)

    @task(6)
    def product(self) -> None:
        self.client.get(f"/products/{randint(1, 10000)}", name="/products/[id]")

    @task(2)
    def products(self) -> None:
        self.client.get("/products")
