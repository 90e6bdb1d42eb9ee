\set id random(1, :rows)
\set age random(18, 90)
update people set name = :name, email = :email, age = :age where id = :id;
